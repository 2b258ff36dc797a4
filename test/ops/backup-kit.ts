// Owns a deployment in this process whose backups are made without a thread of their own, and the reading of what comes of it.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeBackupDesk } from '../../src/app/backup/desk.ts';
import { makeFirstRecoveryKey } from '../../src/app/backup/identity.ts';
import { packArchive } from '../../src/app/backup/pack-archive.ts';
import { openSigningKey } from '../../src/app/backup/signing-key.ts';
import { openRooms, type Rooms } from '../../src/app/compose.ts';
import { loadConfig } from '../../src/app/config.ts';
import { storageChoice } from '../../src/app/database.ts';
import { migrateSchema, openStore } from '../../src/app/open-store.ts';
import type { Manifest } from '../../src/archive/manifest.ts';
import { type ArchivePart, openArchive } from '../../src/archive/reader.ts';
import type { Target } from '../../src/archive/targets/target.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { type CreateRequest, createBackup } from '../../src/ops/backup/create.ts';
import type { CreateReport } from '../../src/ops/backup/create-report.ts';
import type { BackupDesk } from '../../src/ops/backup/desk.ts';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { QUICK } from '../setup/quick.ts';

export const SYSTEM = { actor: 'system', ip: null } as const;

export interface Deployment extends AsyncDisposable {
  readonly rooms: Rooms;
  readonly desk: BackupDesk;
  /** `AGE-SECRET-KEY-1...` */
  readonly recoveryKey: string;
  readonly stateDir: string;
  readonly storage: FreshStorage;
  /** For another process of the same deployment. */
  readonly env: Readonly<Record<string, string>>;
  create(
    request?: Partial<CreateRequest>,
    changes?: Partial<BackupDesk>,
    signal?: AbortSignal,
  ): Promise<CreateReport>;
  /** What is in an archive of the target `local`. */
  read(id: string): Promise<Contents>;
}

export interface Contents {
  readonly manifest: Manifest;
  readonly rows: ReadonlyMap<string, readonly Record<string, unknown>[]>;
  readonly keys: ReadonlyMap<string, string>;
  readonly config: { readonly settings: Record<string, unknown>; readonly canary: string | null };
}

/** @param env more settings, without `AUTHSERVER_` */
export async function openDeployment(
  engine: Engine,
  env: Readonly<Record<string, string>> = {},
): Promise<Deployment> {
  const storage = await freshStorage(engine);
  const stateDir = await mkdtemp(path.join(tmpdir(), 'authserver-backup-'));
  const variables = {
    STATE_DIR: stateDir,
    STORAGE_DRIVER: storage.driver,
    ...(storage.driver === 'sqlite'
      ? { STORAGE_SQLITE_PATH: storage.path }
      : { STORAGE_POSTGRES_DSN: storage.dsn }),
    ...env,
  };
  const own = Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [`AUTHSERVER_${name}`, value]),
  );
  const { config } = await loadConfig({ file: undefined, terminal: false, env: { ...QUICK, ...own } });
  const choice = storageChoice(config);
  await migrateSchema(choice, { clock: systemClock, random: systemRandom });
  const rooms = await openRooms(config, await openStore(choice, silentLog), silentLog);
  const recoveryKey = (await makeFirstRecoveryKey(config, rooms.store, rooms))?.identity ?? '';
  const signer = openSigningKey(stateDir, systemRandom);
  const desk: BackupDesk = {
    ...makeBackupDesk(rooms),
    pack: (request, asks, watch) =>
      packArchive({ request, storage: choice, signingKey: signer.pem, program: '0.0.0' }, asks, watch),
    prove: async () => ({ passed: true, findings: [], notes: [], rto_ms: 1 }),
  };
  return {
    rooms,
    desk,
    recoveryKey,
    stateDir,
    storage,
    env: own,
    create: (request, changes, signal = new AbortController().signal) =>
      createBackup(
        { ...desk, ...changes },
        { target: null, tags: [], plaintext: false, verify: true, ...request },
        { progress: () => undefined, signal },
        SYSTEM,
      ),
    async read(id) {
      const [place] = await desk.places('local');
      if (!place) throw new Error('there is no target local');
      const source = place.target.open(await place.target.find(id));
      const identities = recoveryKey === '' ? [] : [recoveryKey];
      await using archive = await openArchive(source, { trust: await desk.trust(), identities });
      const contents = await contentsOf(archive.parts);
      return { ...contents, manifest: archive.manifest() };
    },
    async [Symbol.asyncDispose]() {
      await rooms.close();
      await rm(stateDir, { recursive: true, force: true });
      await storage.dispose();
    },
  };
}

/** The same target, but for some of what it does. */
export function targetWith(target: Target, changes: Partial<Target>): Target {
  return {
    name: target.name,
    describe: () => target.describe(),
    put: (publication) => target.put(publication),
    mark: (...given) => target.mark(...given),
    list: (options) => target.list(options),
    find: (id) => target.find(id),
    open: (...given) => target.open(...given),
    remove: (id) => target.remove(id),
    sweep: (now) => target.sweep(now),
    proveLock: () => target.proveLock(),
    ...changes,
  };
}

async function contentsOf(parts: AsyncIterable<ArchivePart>): Promise<Omit<Contents, 'manifest'>> {
  const rows = new Map<string, Record<string, unknown>[]>();
  const keys = new Map<string, string>();
  let config = '';
  for await (const part of parts) {
    if (part.kind === 'key') keys.set(part.name, part.text);
    if (part.kind === 'config') config = part.text;
    if (part.kind !== 'rows') continue;
    const lines = Buffer.from(part.bytes).toString().trimEnd().split('\n');
    rows.set(part.table, [...(rows.get(part.table) ?? []), ...lines.map((line) => JSON.parse(line))]);
  }
  return { rows, keys, config: JSON.parse(config) };
}
