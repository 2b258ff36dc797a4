/** Backups that are there before a new database has made any: of another deployment, or of this one before it was lost. */
import { systemClock } from '../../kernel/clock.ts';
import type { BackupPlace } from '../../ops/backup/place.ts';
import type { Config } from '../config.ts';
import { openPlaces } from './places.ts';

/** How long, ms, a first start waits for targets to answer: it is only to be told. */
const PATIENCE = 3000;

export interface OtherBackups {
  readonly target: string;
  /** Where that is. */
  readonly place: string;
  readonly count: number;
  /** Its id. */
  readonly newest: string;
}

/** What each target holds, as far as it says it soon. It never fails: a target that does not answer holds nothing. */
export async function findOtherBackups(config: Pick<Config, 'backup'>): Promise<readonly OtherBackups[]> {
  const places = await openPlaces(config, systemClock).catch(() => []);
  const signal = AbortSignal.timeout(PATIENCE);
  const found = await Promise.all(places.map((each) => othersOn(each, signal)));
  return found.filter((each) => each !== undefined);
}

async function othersOn({ target }: BackupPlace, signal: AbortSignal): Promise<OtherBackups | undefined> {
  let [count, newest] = [0, ''];
  try {
    for await (const { id } of target.list({ signal })) {
      count += 1;
      newest = id;
    }
  } catch {
    // What was seen so far is told.
  }
  return count === 0 ? undefined : { target: target.name, place: target.describe().place, count, newest };
}
