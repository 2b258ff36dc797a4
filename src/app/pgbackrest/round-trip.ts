/** The proof that point in time works: of two changes, a restore to the moment between them brings back the first one only. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { silentLog } from '../../kernel/log.ts';
import { type Random, randomToken } from '../../kernel/random.ts';
import type { SettingStore, Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { openStore } from '../open-store.ts';
import { archivingOf, type Place, postgresOf } from './place.ts';
import { type RowsAtParts, restoreAt } from './rows-at.ts';
import { PgBackRest } from './tool.ts';

/** The settings row that changes. */
const MARKER = 'recovery.marker';

export interface RoundTripParts extends RowsAtParts {
  readonly clock: Clock;
  readonly random: Random;
}

/** Failures: `failed` when the marker does not come back; those of `rowsAt`. */
export async function tryRoundTrip(
  config: Config,
  { settings }: Pick<Store, 'settings'>,
  place: Place,
  parts: RoundTripParts,
): Promise<void> {
  const tool = new PgBackRest(place);
  const { backups } = await tool.info();
  await untilDatabaseClock(config, (backups.at(-1)?.stopped_at ?? 0) + 1000, parts.signal);
  const first = await mark(settings, parts);
  const { now: moment } = await archivingOf(config);
  await untilDatabaseClock(config, moment + 1, parts.signal);
  await mark(settings, parts);
  parts.progress?.('waiting for the log to arrive');
  await tool.run('check', [], parts.signal);
  await using restored = await restoreAt(place, moment, postgresOf(config), parts);
  const store = await openStore(restored.storage, silentLog);
  try {
    const row = await store.settings.get({ name: MARKER });
    if (restored.complete && row?.value === first) return;
    throw new Failure('failed', 'The restored cluster is not the one of the moment that was asked for.', {
      detail: `the marker is ${row === undefined ? 'not there' : 'another one'}, the log ${restored.complete ? 'reaches' : 'ends before'} the moment`,
      hint: 'Do not rely on this repository. See the log of PostgreSQL and of pgBackRest, and run this again.',
    });
  } finally {
    await store.close();
  }
}

/** Writes a marker that nobody can guess. */
async function mark(settings: SettingStore, { clock, random }: RoundTripParts): Promise<string> {
  const value = randomToken(random);
  await settings.put({ setting: { name: MARKER, value, updated_at: clock.now() }, if_absent: false });
  return value;
}

async function untilDatabaseClock(
  config: Config,
  time: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (;;) {
    const { now } = await archivingOf(config);
    if (now >= time) return;
    await sleep(time - now, undefined, signal && { signal });
  }
}
