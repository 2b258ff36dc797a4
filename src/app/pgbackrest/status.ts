import { type Clock, systemClock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Repository } from '../../ops/point-in-time/repository.ts';
import { judgeRecovery, type Observation, type RecoveryStatus } from '../../ops/point-in-time/status.ts';
import type { SettingStore } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { readObservation, withStore, writeObservation } from './observation.ts';
import { archivingOf, asPlace } from './place.ts';
import { PgBackRest } from './tool.ts';

/**
 * How point in time recovery of a PostgreSQL database stands. On its host, as root or as the user of PostgreSQL, the
 * repository is looked at, and what is seen is remembered in the database; elsewhere the last look counts.
 * Failures: `refused` on SQLite, or while schema steps are pending; `unavailable`.
 */
export async function recoveryStatus(config: Config, clock: Clock = systemClock): Promise<RecoveryStatus> {
  return withStore(config, async ({ settings }) => {
    const seen = await look(settings, clock);
    return judgeRecovery(await archivingOf(config), seen, config.recovery.max_lag);
  });
}

/** The same from what is remembered, for a server that asks often: a few reads, no process is started. */
export async function rememberedStatus(config: Config, settings: SettingStore): Promise<RecoveryStatus> {
  const seen = await readObservation(settings);
  return judgeRecovery(await archivingOf(config), seen, config.recovery.max_lag);
}

async function look(settings: SettingStore, clock: Clock): Promise<Observation | undefined> {
  const former = await readObservation(settings);
  if (!former?.stanza) return former;
  const repository = await see(former.stanza);
  if (repository === undefined) return former;
  const seen = { ...former, repository, seen_at: clock.now() };
  await writeObservation(settings, clock, seen);
  return seen;
}

/** Undefined where this process may not look, or the place is on another machine. */
async function see(stanza: NonNullable<Observation['stanza']>): Promise<Repository | undefined> {
  try {
    return await new PgBackRest(asPlace(stanza)).info();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.code !== 'failed') return undefined;
    const message = error.detail ?? error.message;
    return { ok: false, message, version: null, system_id: null, backups: [] };
  }
}
