import { Failure } from '../../kernel/errors.ts';
import type { MigrationRecord } from '../records.ts';
import { type Change, changesOf, tablesMadeBy } from './change.ts';
import { OWN_TABLES, type SchemaConnection } from './connection.ts';
import type { Migration } from './migration.ts';
import { checksum, nameOf, timeline as ours } from './timeline.ts';

export interface MigrationPlan {
  readonly applied: readonly MigrationRecord[];
  readonly pending: readonly Migration[];
  /** The id of the installation whose database this is; undefined where there is none yet. */
  readonly deployment: string | undefined;
}

/** What is needed of a connection to see what it has. */
type Looking = Pick<SchemaConnection, 'all' | 'tables'>;

/** Tables that hold something before anybody has used the database. */
const NO_DATA: readonly string[] = [...OWN_TABLES, 'deployment', 'settings'];

/**
 * What the database has and lacks, without any guard. It is what a program asks that serves already: whatever a newer one has
 * added since is no harm to it (docs/decisions/0010).
 */
export async function readSchema(db: Looking, timeline: readonly Migration[] = ours): Promise<MigrationPlan> {
  const { applied, deployment } = await readState(db);
  const done = new Set(applied.map(({ version }) => version));
  return { applied, deployment, pending: timeline.filter(({ version }) => !done.has(version)) };
}

/** The same of a database that may not be for this program. @throws Failure `refused` when it is of a newer or another one */
export async function examineSchema(db: Looking): Promise<MigrationPlan> {
  const plan = await readSchema(db);
  for (const step of plan.applied) checkApplied(step, ours);
  return plan;
}

/**
 * What would be done, without doing it. On a database that is up to date this is all that a start pays: two queries.
 * @throws Failure `refused` when a guard says no: a newer database, an edited step, a release left out, something in the way
 */
export async function planMigrations(
  db: SchemaConnection,
  timeline: readonly Migration[] = ours,
): Promise<MigrationPlan> {
  const plan = await readSchema(db, timeline);
  const { applied, pending } = plan;
  for (const step of applied) checkApplied(step, timeline);
  if (pending.length === 0) return plan;

  await checkNothingLeftOut(db, plan, timeline);
  const inTheWay = await findInTheWay(db, plan);
  if (inTheWay === undefined) return plan;
  // Another runner may have taken the step between our two looks.
  if ((await readState(db)).applied.length !== applied.length) return planMigrations(db, timeline);
  throw inTheWay;
}

/** Has anybody ever used this database? */
export async function holdsData(db: SchemaConnection): Promise<boolean> {
  for (const table of await db.tables()) {
    if (NO_DATA.includes(table)) continue;
    if ((await db.all(`select 1 from ${table} limit 1`)).length > 0) return true;
  }
  return false;
}

async function readState(db: Looking): Promise<Pick<MigrationPlan, 'applied' | 'deployment'>> {
  const tables = await db.tables();
  if (!tables.has('schema_migrations')) return { applied: [], deployment: undefined };
  const deployment = tables.has('deployment') ? '(select min(id) from deployment)' : 'null';
  const rows = await db.all(
    `select version, name, checksum, applied_at, ${deployment} as deployment from schema_migrations order by version`,
  );
  const id = rows[0]?.['deployment'];
  return {
    applied: rows.map(({ deployment: _, ...record }) => record as unknown as MigrationRecord),
    deployment: typeof id === 'string' ? id : undefined,
  };
}

function checkApplied(step: MigrationRecord, timeline: readonly Migration[]): void {
  const migration = timeline.find(({ version }) => version === step.version);
  if (!migration) {
    throw new Failure(
      'refused',
      `The database has schema step ${nameOf(step)}, which this version does not know.`,
      {
        hint: 'It was migrated by a newer authserver. Start that version, or restore the backup made before the upgrade.',
      },
    );
  }
  if (migration.name !== step.name) {
    throw new Failure(
      'refused',
      `Schema step ${step.version} is called ${step.name} in the database and ${migration.name} in this version.`,
      {
        hint: 'Install the release that made this database, or restore a backup made by this one.',
      },
    );
  }
  if (checksum(migration) !== step.checksum) {
    throw new Failure(
      'refused',
      `Schema step ${nameOf(step)} was applied with other content than this version has.`,
      {
        detail: `checksum in the database ${step.checksum}, in the program ${checksum(migration)}`,
        hint: 'Install the release that made this database, or restore a backup made by this one.',
      },
    );
  }
}

/** A step that takes something away waits for a release that lived without it; a database without data needs none. */
async function checkNothingLeftOut(
  db: SchemaConnection,
  { applied, pending }: MigrationPlan,
  timeline: readonly Migration[],
): Promise<void> {
  const has = (step: number) => applied.some(({ version }) => version === step);
  const barred = pending.find(({ needs }) => needs !== undefined && !has(needs));
  if (!barred || !(await holdsData(db))) return;
  const needed = timeline.find(({ version }) => version === barred.needs);
  if (!needed) throw new TypeError(`step ${nameOf(barred)} needs step ${barred.needs}, which there is not`);
  throw new Failure(
    'refused',
    `Release ${needed.release} must not be left out: schema step ${nameOf(barred)} needs a database that has run on it.`,
    {
      detail: `step ${nameOf(needed)} is not in the database`,
      hint: `Install authserver ${needed.release}, run \`authserver migrate\`, let it serve until every instance runs it, then install this version again.`,
    },
  );
}

/** What a step is to make and is there already, though no record says that the step was taken. */
async function findInTheWay(
  db: SchemaConnection,
  { applied, pending }: MigrationPlan,
): Promise<Failure | undefined> {
  const names = await db.names();
  for (const migration of pending) {
    const changes = changesOf(migration);
    const isNew = (table: string) => db.engine === 'sqlite' || tablesMadeBy(changes).includes(table);
    const made = changes.flatMap((change) => madeBy(change, isNew));
    const found = made.filter((name) => names.has(name));
    if (found.length > 0) return inTheWayFailure(migration, found, applied.length === 0);
  }
  return undefined;
}

/** As `names` has it. An index that is built beside writers may have been left by a killed build. */
function madeBy(change: Change, isNew: (table: string) => boolean): readonly string[] {
  if (change.kind === 'create table') return [`table ${change.table}`];
  if (change.kind === 'add column') return [`column ${change.table}.${change.column}`];
  if (change.kind === 'create index' && isNew(change.table)) return [`index ${change.index}`];
  return [];
}

/** @param isStrange no step was ever taken: the database may not be ours at all */
function inTheWayFailure(migration: Migration, found: readonly string[], isStrange: boolean): Failure {
  // The indexes go with the tables.
  const things = found.filter((name, _, all) => !name.startsWith('index ') || !all[0]?.startsWith('table '));
  const drop = found.find((name) => name.startsWith('table '))?.slice('table '.length);
  const remove =
    drop === undefined ? 'remove what is in the way' : `drop it first (\`drop table ${drop}\`, ...)`;
  const restore = isStrange
    ? "If it is another program's, give this one a database or a schema of its own. Otherwise restore"
    : 'Restore';
  return new Failure(
    'refused',
    `The database already has what schema step ${nameOf(migration)} is to make: ${things.join(', ')}.`,
    {
      detail:
        'no record says that the step was taken, so somebody did a part of it by hand, or a restore stopped midway',
      hint: `${restore} the backup made before the upgrade, then run \`authserver migrate\` again. If nothing that you need is in there, ${remove}.`,
    },
  );
}
