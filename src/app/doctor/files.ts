/** What lies where, how much room there is, and who may read it. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import {
  type Absent,
  absent,
  type FileMode,
  type Place,
  type SafetyCopy,
  type SpaceFacts,
} from '../../ops/doctor/facts.ts';
import { mountOf, parseMounts } from '../../ops/doctor/mounts.ts';
import { SIGNING_KEY_FILE } from '../backup/signing-key.ts';
import { readTarget } from '../config/backup-target.ts';
import { keys as settings } from '../config/keys.ts';
import type { Config, LoadedConfig } from '../config.ts';

const MOUNTS = '/proc/self/mountinfo';

export function gatherPlaces(config: Config): readonly Place[] | Absent {
  if (!existsSync(MOUNTS)) return absent(`this system does not tell what is mounted where (${MOUNTS})`);
  const mounts = parseMounts(readFileSync(MOUNTS, 'utf8'));
  return namedPlaces(config).flatMap((place) => {
    const mount = mountOf(mounts, realpathSync(nearest(place.path)));
    return mount === undefined ? [] : [{ ...place, ...mount }];
  });
}

function namedPlaces(config: Config): readonly Pick<Place, 'name' | 'role' | 'path'>[] {
  const { state_dir, storage, signing } = config;
  return [
    { name: 'the state directory', role: 'state', path: state_dir },
    ...(storage.driver === 'sqlite'
      ? [{ name: 'the database', role: 'database' as const, path: storage.sqlite.path }]
      : []),
    ...(signing.key_store === 'keyfile'
      ? [{ name: 'the folder of the signing keys', role: 'keys' as const, path: signing.key_path }]
      : []),
    ...folderTargets(config).map(({ name, folder }) => ({
      name: `backup target ${name}`,
      role: 'backups' as const,
      path: folder,
    })),
  ];
}

/** Where a restore needs room: it stages the database beside the present one, or on the database server. */
export async function gatherSpace(config: Config, archive: number): Promise<SpaceFacts> {
  const { state_dir, storage } = config;
  const place = storage.driver === 'sqlite' ? path.dirname(storage.sqlite.path) : state_dir;
  const { bavail, bsize } = await statfs(nearest(place));
  const database =
    storage.driver === 'sqlite' ? sizeOf(storage.sqlite.path) + sizeOf(`${storage.sqlite.path}-wal`) : 0;
  return { path: place, free: bavail * bsize, database, archive };
}

/** Whether a folder is on the disk that the database is on; a database elsewhere is on another one. */
export function isBesideDatabase({ storage }: Config, folder: string): boolean {
  if (storage.driver !== 'sqlite') return false;
  return statSync(nearest(folder)).dev === statSync(nearest(storage.sqlite.path)).dev;
}

/** Every file and folder with a secret that there is. */
export function gatherModes(loaded: LoadedConfig): readonly FileMode[] {
  const { config } = loaded;
  const { state_dir, storage, signing } = config;
  const ours = (what: string, file: string) => modeOf(what, file, 'owner');
  const theirs = (what: string, file: string | undefined) =>
    file === undefined ? undefined : modeOf(what, file, 'group');
  const found = [
    ours('the state directory', state_dir),
    ours('the folder of the signing keys', signing.key_path),
    ...keyFiles(signing.key_path).map((file) => ours('the signing key', file)),
    ours('the key that signs backups', path.join(state_dir, SIGNING_KEY_FILE)),
    ...(storage.driver === 'sqlite'
      ? ['', '-wal', '-journal'].map((end) => ours('the database', storage.sqlite.path + end))
      : []),
    // Encrypted, an archive tells others nothing.
    ...(config.backup.plaintext
      ? folderTargets(config).map(({ folder }) => ours('the folder of plain backups', folder))
      : []),
    ...secretFiles(config).map((file) => theirs('the secret', file)),
    ...configFiles(loaded).map((file) => theirs('the configuration, which holds a secret,', file)),
  ];
  return found.filter((mode) => mode !== undefined);
}

/** What restores and upgrades have put aside next to the database file. */
export function copiesBeside(database: string): readonly SafetyCopy[] {
  const folder = path.dirname(database);
  const prefix = `${path.basename(database)}.before-`;
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => name.startsWith(prefix));
  // A copy of a database may have its log beside it.
  const copies = Map.groupBy(names.sort(), (name) => name.replace(/-(wal|shm|journal)$/, ''));
  return [...copies].map(([copy, those]) => ({
    name: path.join(folder, copy),
    size: those.reduce((sum, name) => sum + sizeOf(path.join(folder, name)), 0),
    from: copy.startsWith(`${prefix}restore`) ? 'restore' : 'upgrade',
  }));
}

function folderTargets({ backup }: Config): readonly { readonly name: string; readonly folder: string }[] {
  return backup.targets.flatMap((text) => {
    const read = readTarget(text);
    return 'target' in read && read.target.kind === 'folder' ? [read.target] : [];
  });
}

function secretFiles({ backup, data_encryption, signing }: Config): readonly (string | undefined)[] {
  const ofVault = [signing.vault_transit, data_encryption.vault_transit].flatMap((vault) => [
    vault.token_file,
    vault.approle.secret_id_file,
    vault.tls.key_file,
  ]);
  const { key_file, old_key_files = [] } = data_encryption;
  return [key_file, ...old_key_files, backup.passphrase_file, ...ofVault];
}

/** Configuration files in which a secret is written out, and not only the name of a variable that holds it. */
function configFiles({ config, origins }: LoadedConfig): readonly string[] {
  const files = settings.flatMap(({ path: key, key: { secret } }) => {
    const origin = origins.get(key);
    if (!secret || origin?.from !== 'file') return [];
    const file = path.resolve(origin.file);
    const values = [settingAt(config, key)].flat().filter((value) => typeof value === 'string');
    const text = readFileSync(file, 'utf8');
    return values.some((value) => text.includes(value)) ? [file] : [];
  });
  return [...new Set(files)];
}

function settingAt(config: Config, key: string): unknown {
  return key
    .split('.')
    .reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], config);
}

function keyFiles(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return (
    readdirSync(folder)
      // What a restore has put aside is a key too.
      .filter((name) => name.includes('.pem'))
      .map((name) => path.join(folder, name))
  );
}

/** Undefined where there is none: that a file is missing is said by whoever needs it. */
function modeOf(what: string, file: string, allowed: FileMode['allowed']): FileMode | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  return { path: file, what, mode: found.mode & 0o777, isFolder: found.isDirectory(), allowed };
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** The path itself, or the nearest folder above it that exists. */
function nearest(place: string): string {
  let at = path.resolve(place);
  while (!existsSync(at) && path.dirname(at) !== at) at = path.dirname(at);
  return at;
}
