/** What the host of the database has seen, in a settings row: the servers, which may not see the repository, read it there. */
import type { Clock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { OBSERVATION, type Observation } from '../../ops/point-in-time/status.ts';
import type { SettingStore, Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { openDatabase } from '../database.ts';

export async function readObservation(settings: SettingStore): Promise<Observation | undefined> {
  const row = await settings.get({ name: OBSERVATION });
  if (row === undefined) return undefined;
  try {
    return JSON.parse(row.value) as Observation;
  } catch {
    return undefined;
  }
}

export async function writeObservation(
  settings: SettingStore,
  clock: Clock,
  observation: Observation,
): Promise<void> {
  const setting = { name: OBSERVATION, value: JSON.stringify(observation), updated_at: clock.now() };
  await settings.put({ setting, if_absent: false });
}

/** The store of the settings for as long as `work` takes. Failures: those of `openDatabase`. */
export async function withStore<T>(config: Config, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openDatabase(config, silentLog);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
