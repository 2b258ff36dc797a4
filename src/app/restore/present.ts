/** What is there before a restore: whose it is, whose signatures it believes, and which access it has taken away. */
import { asFailure } from '../../kernel/errors.ts';
import { type KnownSigners, knownSigners, SIGNER_SETTINGS } from '../../ops/backup/recovery-key.ts';
import { POSITION } from '../../store/change-frame.ts';
import type { Onlooker } from '../../store/onlooker.ts';
import type { Revocation } from '../../store/records.ts';
import { OWN } from '../../store/sql/revocations.ts';
import { lookAtSchema, openOnlooker, type StorageChoice } from '../open-store.ts';
import type { Files } from './files.ts';
import { databaseFile, SIDECARS, sizeOfDatabase } from './staging.ts';
import type { FormerKey } from './way-on.ts';

/** The database that the settings name, as far as it can be read. */
export interface Present extends KnownSigners {
  /** Something that is to be kept is there, readable or not. */
  readonly isThere: boolean;
  /** Why nothing in it can be believed; undefined where it can be read, or there is none. */
  readonly unreadable: string | undefined;
  readonly deploymentId: string | undefined;
  /** Undefined where it cannot be read. */
  readonly epoch: number | undefined;
  /** Where in the recovery log it stands: JSON, as the setting has it. */
  readonly logPosition: string | undefined;
  readonly bytes: number;
  /** Access that was taken away in it. */
  readonly revocations: readonly Revocation[];
  /** As far as they can be read. */
  readonly signingKeys: readonly FormerKey[];
}

const NOTHING: Omit<Present, 'isThere' | 'bytes'> = {
  unreadable: undefined,
  deploymentId: undefined,
  signers: [],
  distrusted: [],
  epoch: undefined,
  logPosition: undefined,
  revocations: [],
  signingKeys: [],
};

/** Never fails for a database that is damaged, absent or another program's: what is wrong is told. */
export async function readPresent(files: Files, storage: StorageChoice): Promise<Present> {
  let isThere = true;
  let bytes = 0;
  try {
    ({ isThere, bytes } = await sizeOfPresent(files, storage));
    if (!isThere) return { ...NOTHING, isThere, bytes };
    return { ...NOTHING, isThere, bytes, ...(await readRows(files, storage)) };
  } catch (error) {
    const { message, detail } = asFailure(error);
    return { ...NOTHING, isThere, bytes, unreadable: detail ?? message };
  }
}

/** How much access it tells to be taken away; null where it cannot tell: nothing can be read, or nothing is there. */
export function toldBy({ isThere, unreadable, revocations }: Present): number | null {
  return isThere && unreadable === undefined ? revocations.length : null;
}

/** Whether there is anything, and how much. Failures: `unavailable`, `configuration`. */
export async function sizeOfPresent(
  files: Files,
  storage: StorageChoice,
): Promise<Pick<Present, 'isThere' | 'bytes'>> {
  if (storage.driver === 'sqlite') {
    const database = databaseFile(storage.sqlite.path);
    const found = await Promise.all(['', ...SIDECARS].map((suffix) => files.exists(database + suffix)));
    return { isThere: found.includes(true), bytes: await sizeOfDatabase(files, database) };
  }
  const { presentTables } = await import('../../store/postgres/swap-schema.ts');
  const { names, bytes } = await presentTables(storage.postgres);
  return { isThere: names.includes('schema_migrations') || names.includes('deployment'), bytes };
}

/**
 * Only to look: a connection that may write would play or remove the log beside a damaged file, which then is the best that
 * there is. But a journal of a transaction that a crash cut off has to be rolled back before anybody can read.
 */
async function readRows(files: Files, storage: StorageChoice): Promise<Partial<Present>> {
  try {
    return await lookAt(storage);
  } catch (error) {
    const isCutOff =
      storage.driver === 'sqlite' && (await files.exists(`${databaseFile(storage.sqlite.path)}-journal`));
    if (!isCutOff) throw error;
    await lookAtSchema(storage);
    return lookAt(storage);
  }
}

/**
 * By name, not through a snapshot, which knows this program's schemas only: what a newer program has migrated is read too,
 * because columns stay what they are (docs/decisions/0010), and whoever goes back from an upgrade must not give access back.
 */
async function lookAt(storage: StorageChoice): Promise<Partial<Present>> {
  const onlooker = await openOnlooker(withoutLink(storage));
  try {
    const [deployment] = await onlooker.all('select id, restore_epoch from deployment');
    const settings = await onlooker.all(
      `select name, value from settings where name in (${[...SIGNER_SETTINGS, POSITION].map((name) => `'${name}'`)})`,
    );
    const setting = (wanted: string) => textOf(settings.find(({ name }) => name === wanted)?.['value']);
    return {
      deploymentId: textOf(deployment?.['id']),
      ...knownSigners(setting),
      epoch: deployment && Number(deployment['restore_epoch']),
      // Rows that came from SQLite may have it on PostgreSQL too, where it says nothing.
      logPosition: storage.driver === 'sqlite' ? setting(POSITION) : undefined,
      signingKeys: await signingKeysOf(onlooker),
      ...(await revocationsOf(onlooker)),
    };
  } finally {
    await onlooker.close();
  }
}

/** Before the third schema step there are none. Where they cannot be read, that is no database in which there are none. */
async function revocationsOf(onlooker: Onlooker): Promise<Partial<Present>> {
  try {
    if (!(await onlooker.tables()).has('revocations')) return { revocations: [] };
    // Without what an earlier restore has noted beside them.
    const rows = await onlooker.all(`select ${OWN.join(', ')} from revocations order by id`);
    return { revocations: rows as unknown as readonly Revocation[] };
  } catch (error) {
    const { message, detail } = asFailure(error);
    return { unreadable: detail ?? message };
  }
}

/** They only help to say what comes after the restore, so that it does not depend on them. */
async function signingKeysOf(onlooker: Onlooker): Promise<readonly FormerKey[]> {
  const timeOf = (value: unknown) => (value === null ? null : Number(value));
  const rows = await onlooker
    .all('select kid, state, created_at, activated_at, retired_at from signing_keys')
    .catch(() => []);
  return rows.map(({ kid, state, created_at, activated_at, retired_at }) => ({
    kid: String(kid),
    state: state as FormerKey['state'],
    created_at: Number(created_at),
    activated_at: timeOf(activated_at),
    retired_at: timeOf(retired_at),
  }));
}

/** The keys of the deployment that is restored; those of another one say nothing about it. */
export function keysOf(present: Present, deployment: string): readonly FormerKey[] {
  return present.deploymentId === deployment ? present.signingKeys : [];
}

function withoutLink(storage: StorageChoice): StorageChoice {
  if (storage.driver === 'postgres') return storage;
  return { ...storage, sqlite: { ...storage.sqlite, path: databaseFile(storage.sqlite.path) } };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
