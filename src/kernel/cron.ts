import { Cron } from 'croner';

/** A schedule; nothing is started by it, it is only asked. */
export type Schedule = Pick<Cron, 'nextRun' | 'nextRuns' | 'previousRuns'>;

/**
 * Five fields as crontab has them, in UTC, so that no hour comes twice or never. It throws where they are none.
 * By offset, because to look up a zone by its name brings the tables of all of them into memory: 6 MB of an idle server.
 */
export function readSchedule(fields: string): Schedule {
  return new Cron(fields, { paused: true, utcOffset: 0 });
}
