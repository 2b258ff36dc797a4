import type { Clock } from '../../kernel/clock.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import { type Change, changesOf, runsOnline, tablesMadeBy } from './change.ts';
import { heed, type SchemaConnection, type TurnBesideOthers } from './connection.ts';
import type { Fill, Migration } from './migration.ts';
import { planMigrations } from './plan.ts';
import { checksum, nameOf, timeline as ours } from './timeline.ts';

export interface MigrationParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Asked between two steps. */
  readonly stop?: AbortSignal;
  readonly timeline?: readonly Migration[];
  /** Run in our turn, before the first of these steps; what it throws leaves them untaken. */
  readonly beforeFirst?: (pending: readonly [Migration, ...Migration[]]) => Promise<void>;
}

/**
 * Brings the schema up to this program's. Running it twice is running it once; killed anywhere and run again, it ends the
 * same. Answers the steps it took. Failures: `refused` by a guard, `unavailable` without a lock, `interrupted`.
 */
export async function runMigrations(
  db: SchemaConnection,
  parts: MigrationParts,
): Promise<readonly Migration[]> {
  const { timeline = ours, stop } = parts;
  // The guards come before the first write, that of the bookkeeping tables.
  if ((await planMigrations(db, timeline)).pending.length === 0) return [];
  return db.exclusively(async (turn) => {
    // Planned again in our turn: another process may have been quicker.
    const { pending } = await planMigrations(db, timeline);
    const [first, ...rest] = pending;
    if (!first) return [];
    await parts.beforeFirst?.([first, ...rest]);
    if (turn.alone) {
      await turn.transact(async () => {
        for (const migration of pending) await takeAtOnce(db, migration, parts);
      });
      return pending;
    }
    for (const migration of pending) {
      heed(stop);
      await takeBesideOthers(db, turn, migration, parts);
    }
    return pending;
  });
}

/** In the transaction that is open: whoever else might be stopped by it is not there. */
async function takeAtOnce(db: SchemaConnection, migration: Migration, parts: MigrationParts): Promise<void> {
  const changes = changesOf(migration);
  for (const change of changes) {
    if (change.kind === 'fill') await fillAtOnce(db, change.fill);
    else await db.run(change.text);
  }
  await keepRecord(db, migration, changes, parts);
}

async function takeBesideOthers(
  db: SchemaConnection,
  turn: TurnBesideOthers,
  migration: Migration,
  parts: MigrationParts,
): Promise<void> {
  const changes = changesOf(migration);
  if (!runsOnline(changes)) return turn.transact(() => takeAtOnce(db, migration, parts));
  for (const change of changes) {
    if (change.kind === 'fill') await fillInBatches(db, turn, change.fill, parts);
    if (change.kind === 'create index') await turn.buildIndex(change);
  }
  await turn.transact(() => keepRecord(db, migration, changes, parts));
}

async function keepRecord(
  db: SchemaConnection,
  migration: Migration,
  changes: readonly Change[],
  { clock, random, log }: MigrationParts,
): Promise<void> {
  const { version, name } = migration;
  await insert(db, 'schema_migrations', {
    version,
    name,
    checksum: checksum(migration),
    applied_at: clock.now(),
  });
  // The identity that backups, restores and other databases are told apart by.
  if (tablesMadeBy(changes).includes('deployment')) {
    const id = makeIds(clock, random).next('dep');
    await insert(db, 'deployment', { id, created_at: clock.now(), restore_epoch: 0 });
  }
  log.info({ step: nameOf(migration) }, 'schema step taken');
}

async function fillAtOnce(db: SchemaConnection, { fill, set, where }: Fill): Promise<void> {
  await db.run(`update ${fill} set ${set} where ${where}`);
}

/** Once over the table in the order of its key. What was filled before a kill no longer matches, so this goes on where that ended. */
async function fillInBatches(
  db: SchemaConnection,
  turn: TurnBesideOthers,
  fill: Fill,
  { stop }: MigrationParts,
): Promise<void> {
  let after: unknown;
  do {
    heed(stop);
    after = await turn.transact(() => fillBatch(db, fill, after));
  } while (after !== undefined);
}

/** Answers the last key it has looked at; undefined when nothing was left. */
async function fillBatch(db: SchemaConnection, fill: Fill, after: unknown): Promise<unknown> {
  const { fill: table, key, set, where, batch } = fill;
  const above = after === undefined ? '' : ` and ${key} > ${db.placeholder(1)}`;
  const last = await db.all(
    `select max(k) as last from (select ${key} as k from ${table} where (${where})${above} order by ${key} limit ${batch}) b`,
    after === undefined ? [] : [after],
  );
  const end = last[0]?.['last'] ?? undefined;
  if (end === undefined) return undefined;
  const bounds = after === undefined ? [end] : [end, after];
  const from = after === undefined ? '' : ` and ${key} > ${db.placeholder(2)}`;
  await db.run(
    `update ${table} set ${set} where (${where}) and ${key} <= ${db.placeholder(1)}${from}`,
    bounds,
  );
  return end;
}

async function insert(db: SchemaConnection, table: string, row: Record<string, unknown>): Promise<void> {
  const columns = Object.keys(row);
  const places = columns.map((_, index) => db.placeholder(index + 1));
  await db.run(
    `insert into ${table} (${columns.join(', ')}) values (${places.join(', ')})`,
    Object.values(row),
  );
}
