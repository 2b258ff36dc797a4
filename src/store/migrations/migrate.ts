import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { MigrationRecord } from '../records.ts';
import type { Migration } from './migration.ts';
import { checksum, timeline } from './timeline.ts';

/** A connection that may change the schema. Engines give one; nothing else does. */
export interface SchemaConnection {
  all(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  run(text: string, values?: readonly unknown[]): Promise<void>;
  hasTable(name: string): Promise<boolean>;
  /** Runs `work` while no other process migrates this database. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  /** `?` or `$n`: how this engine writes the n-th value, from 1. */
  placeholder(n: number): string;
  close(): Promise<void>;
}

export interface MigrationPlan {
  readonly applied: readonly MigrationRecord[];
  readonly pending: readonly Migration[];
}

const BOOKKEEPING = `create table if not exists schema_migrations (
  version bigint primary key,
  name text not null,
  checksum text not null,
  applied_at bigint not null
)`;

/**
 * What would be done, without doing it.
 * @throws Failure `refused` when the database is newer than this program or an applied step was edited
 */
export async function planMigrations(db: SchemaConnection): Promise<MigrationPlan> {
  const applied = await readApplied(db);
  const known = new Map(timeline.map((migration) => [migration.version, migration]));
  for (const step of applied) {
    const migration = known.get(step.version);
    if (!migration) {
      throw new Failure(
        'refused',
        `The database has schema step ${step.version} (${step.name}), which this version does not know.`,
        {
          hint: 'It was migrated by a newer authserver. Start that version, or restore the backup made before the upgrade.',
        },
      );
    }
    if (checksum(migration) !== step.checksum) {
      throw new Failure(
        'refused',
        `Schema step ${step.version} (${step.name}) was applied with other content than this version has.`,
        {
          detail: `checksum in the database ${step.checksum}, in the program ${checksum(migration)}`,
          hint: 'Install the release that made this database, or restore a backup made by this one.',
        },
      );
    }
  }
  const done = new Set(applied.map((step) => step.version));
  return { applied, pending: timeline.filter((migration) => !done.has(migration.version)) };
}

/** Brings the schema up to this program's. Running it twice is running it once. Answers the steps it took. */
export async function runMigrations(
  db: SchemaConnection,
  { clock, random }: { clock: Clock; random: Random },
): Promise<readonly Migration[]> {
  return db.exclusively(async () => {
    await db.run(BOOKKEEPING);
    // Planned again behind the lock: another process may have been quicker.
    const { pending } = await planMigrations(db);
    for (const migration of pending) await applyStep(db, migration, clock);
    await ensureDeployment(db, clock, random);
    return pending;
  });
}

async function applyStep(db: SchemaConnection, migration: Migration, clock: Clock): Promise<void> {
  await db.run('begin');
  try {
    for (const text of migration.statements) await db.run(text);
    await db.run(
      `insert into schema_migrations (version, name, checksum, applied_at) values (${[1, 2, 3, 4].map((n) => db.placeholder(n)).join(', ')})`,
      [migration.version, migration.name, checksum(migration), clock.now()],
    );
    await db.run('commit');
  } catch (error) {
    // When the connection is gone the database rolls back by itself, and the first error tells more.
    await db.run('rollback').catch(() => {});
    throw error;
  }
}

/** The identity that backups, restores and other databases are told apart by. */
async function ensureDeployment(db: SchemaConnection, clock: Clock, random: Random): Promise<void> {
  const [found] = await db.all('select id from deployment');
  if (found) return;
  await db.run(
    `insert into deployment (id, created_at, restore_epoch) values (${db.placeholder(1)}, ${db.placeholder(2)}, 0)`,
    [makeIds(clock, random).next('dep'), clock.now()],
  );
}

async function readApplied(db: SchemaConnection): Promise<MigrationRecord[]> {
  if (!(await db.hasTable('schema_migrations'))) return [];
  const rows = await db.all(
    'select version, name, checksum, applied_at from schema_migrations order by version',
  );
  return rows as unknown as MigrationRecord[];
}
