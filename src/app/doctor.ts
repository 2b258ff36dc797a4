/** Gathers what the doctor judges: files, rows, settings, the clock. It takes no lock and changes nothing. */
import type { Clock } from '../kernel/clock.ts';
import { lastVerified } from '../ops/doctor/backups.ts';
import { checks } from '../ops/doctor/checks.ts';
import { chooseChecks, examine } from '../ops/doctor/examine.ts';
import {
  type Absent,
  absent,
  type ClockFacts,
  type DrillFacts,
  type SchedulesFacts,
  type Sources,
} from '../ops/doctor/facts.ts';
import type { Finding } from '../ops/doctor/finding.ts';
import type { LoadedConfig } from './config.ts';
import { copiesBeside, gatherModes, gatherPlaces, gatherSpace } from './doctor/files.ts';
import { gatherRecoveryLog } from './doctor/recovery.ts';
import { exposureOf, lastDrill, nextMeeting, secretsOf } from './doctor/settings.ts';
import { gatherIntegrity, gatherSqliteFile, gatherSqliteLibrary } from './doctor/sqlite.ts';
import { ifAny, Visit } from './doctor/visit.ts';

export interface DoctorRequest {
  /** Ids of checks; all of them for undefined. */
  readonly only: readonly string[] | undefined;
  /** Whatever it takes: a large database file and a long audit trail are read to their ends. */
  readonly deep: boolean;
}

/** Failures: `invalid_input` for a check that there is not. Whatever else is wrong is a finding. */
export async function examineInstallation(
  loaded: LoadedConfig,
  { only, deep }: DoctorRequest,
  clock: Clock,
): Promise<readonly Finding[]> {
  const chosen = chooseChecks(checks, only);
  await using visit = new Visit(loaded, clock, deep);
  return await examine(chosen, sourcesOf(visit));
}

/** Where each fact comes from; what only some checks need is loaded for them. */
function sourcesOf(visit: Visit): Sources {
  const { config, clock, loaded } = visit;
  return {
    database: () => visit.database(),
    sqliteLibrary: () => gatherSqliteLibrary(visit),
    sqliteFile: () => gatherSqliteFile(visit),
    integrity: () => gatherIntegrity(visit),
    postgres: async () => {
      if (config.storage.driver !== 'postgres') return absent('the database is SQLite');
      const { gatherPostgres } = await import('./doctor/postgres.ts');
      return visit.read((onlooker) => gatherPostgres(config, onlooker));
    },
    places: async () => gatherPlaces(config),
    space: async () => gatherSpace(config, await largestArchive(visit)),
    modes: async () => gatherModes(loaded),
    keys: async () => {
      const { gatherKeys } = await import('./doctor/keys.ts');
      const serverRuns = await visit.serverRuns();
      return visit.read(({ store }) => gatherKeys(config, store, { clock, serverRuns }));
    },
    clock: () => gatherClock(visit),
    audit: async () => {
      const { gatherAudit } = await import('./doctor/trail.ts');
      return visit.read((onlooker) => gatherAudit(onlooker, visit.deep));
    },
    backups: () => visit.backups(),
    recoveryKey: async () => {
      const { gatherRecoveryKey } = await import('./doctor/backups.ts');
      return visit.read(({ store }) => gatherRecoveryKey(config, store, clock));
    },
    recoveryLog: () => gatherRecoveryLog(visit),
    drills: () => gatherDrills(visit),
    safetyCopies: async () => {
      if (config.storage.driver === 'sqlite') return copiesBeside(config.storage.sqlite.path);
      const { copiesInPostgres } = await import('./doctor/postgres.ts');
      return visit.read(copiesInPostgres);
    },
    exposure: async () => exposureOf(config),
    secrets: async () => secretsOf(config),
    schedules: () => gatherSchedules(visit),
  };
}

/** The clock and the newest moments that database and backups know of, as far as they can be read. */
async function gatherClock(visit: Visit): Promise<ClockFacts> {
  const { gatherMoments } = await import('./doctor/trail.ts');
  const rows = await ifAny(visit.read(gatherMoments));
  const backups = await ifAny(visit.backups());
  const made = (backups?.backups ?? []).map(({ id, madeAt }) => ({ what: `backup ${id}`, at: madeAt }));
  return { now: visit.clock.now(), known: [...(rows ?? []), ...made] };
}

function gatherDrills(visit: Visit): Promise<DrillFacts | Absent> {
  const { config, clock } = visit;
  return visit.read(async ({ store }) => ({
    now: clock.now(),
    since: (await store.deployment.get({})).created_at,
    maxAge: config.drill.max_age,
    last: lastDrill((await store.settings.get({ name: 'drill.last' }))?.value),
  }));
}

async function gatherSchedules(visit: Visit): Promise<SchedulesFacts> {
  const { config, clock } = visit;
  const backups = await ifAny(visit.backups());
  return {
    now: clock.now(),
    maxAge: config.backup.max_age,
    backup: config.backup.schedule,
    drill: config.drill.schedule,
    together: nextMeeting(config, clock.now()),
    lastVerified: backups && lastVerified(backups),
  };
}

async function largestArchive(visit: Visit): Promise<number> {
  const backups = await ifAny(visit.backups());
  return Math.max(0, ...(backups?.backups ?? []).map(({ size }) => size));
}
