/** What is there before a restore: whose it is, whose signatures it believes, and which access it has taken away. */
import type { Trust } from '../../archive/signature.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { Revocation } from '../../store/records.ts';
import { lookAtSchema, type StorageChoice } from '../open-store.ts';
import { readSnapshot } from '../snapshots.ts';
import type { Files } from './files.ts';
import { databaseFile, SIDECARS, sizeOfDatabase } from './staging.ts';

/** The database that the settings name, as far as it can be read. */
export interface Present {
  /** Something that is to be kept is there, readable or not. */
  readonly isThere: boolean;
  /** Why nothing in it can be believed; undefined where it can be read, or there is none. */
  readonly unreadable: string | undefined;
  readonly deploymentId: string | undefined;
  readonly signers: Trust;
  /** Undefined where it cannot be read. */
  readonly epoch: number | undefined;
  /** Where in the recovery log it stands: JSON, as the setting has it. */
  readonly logPosition: string | undefined;
  readonly bytes: number;
  /** Access that was taken away in it. */
  readonly revocations: readonly Revocation[];
}

const NOTHING: Omit<Present, 'isThere' | 'bytes'> = {
  unreadable: undefined,
  deploymentId: undefined,
  signers: [],
  epoch: undefined,
  logPosition: undefined,
  revocations: [],
};

/** Never fails for a database that is damaged, absent or another program's: what is wrong is told. */
export async function readPresent(
  files: Files,
  storage: StorageChoice,
  clock: Clock = systemClock,
): Promise<Present> {
  let isThere = true;
  let bytes = 0;
  try {
    ({ isThere, bytes } = await sizeOf(files, storage));
    if (!isThere) return { ...NOTHING, isThere, bytes };
    return { ...NOTHING, isThere, bytes, ...(await readRows(files, storage, clock)) };
  } catch (error) {
    const { message, detail } = asFailure(error);
    return { ...NOTHING, isThere, bytes, unreadable: detail ?? message };
  }
}

async function sizeOf(files: Files, storage: StorageChoice): Promise<Pick<Present, 'isThere' | 'bytes'>> {
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
async function readRows(files: Files, storage: StorageChoice, clock: Clock): Promise<Partial<Present>> {
  try {
    return await readTables(storage, clock, ['settings', 'revocations']);
  } catch (error) {
    if (storage.driver === 'sqlite' && (await files.exists(`${databaseFile(storage.sqlite.path)}-journal`))) {
      await lookAtSchema(storage);
    }
    // Before the third schema step there are no revocations.
    return readTables(storage, clock, ['settings']).catch(() => Promise.reject(error));
  }
}

async function readTables(
  storage: StorageChoice,
  clock: Clock,
  tables: readonly string[],
): Promise<Partial<Present>> {
  await using snapshot = await readSnapshot(storage, { clock, tables });
  const rows = new Map<string, Record<string, unknown>[]>(tables.map((name) => [name, []]));
  for await (const part of snapshot.parts()) {
    if (part.kind !== 'rows') continue;
    const lines = Buffer.from(part.bytes).toString().trimEnd().split('\n');
    rows.get(part.table)?.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
  }
  const setting = (name: string) => rows.get('settings')?.find((row) => row['name'] === name)?.['value'];
  const { deployment } = snapshot.head;
  return {
    deploymentId: deployment.id,
    signers: listOf(setting('backup.signers')),
    epoch: deployment.restore_epoch,
    logPosition: textOf(setting('recovery.position')),
    revocations: (rows.get('revocations') ?? []).map(withoutHistory),
  };
}

/** A revocation, without what an earlier restore has noted beside it. */
function withoutHistory({
  restored_at: _,
  replayed_at: __,
  ...revocation
}: Record<string, unknown>): Revocation {
  return revocation as unknown as Revocation;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function listOf(value: unknown): Trust {
  return typeof value === 'string' ? (JSON.parse(value) as string[]) : [];
}
