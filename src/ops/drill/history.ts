/** What the database remembers of drills: it goes into backups, so that an overdue drill is noticed after a restore too. */
import type { SettingStore } from '../../store/store.ts';
import { DRILL_NAMES, type DrillName } from './drill.ts';
import type { DrillReport } from './report.ts';

/** The newest drill: JSON, as `LastDrill`. The doctor reads it. */
const LAST = 'drill.last';
/** The newest drill that has passed; as above. */
const PASSED = 'drill.passed';
/** And the name of a drill: when it last took place, ms. */
const RUN = 'drill.run.';

export interface LastDrill {
  /** ms */
  readonly at: number;
  readonly name: DrillName;
  readonly passed: boolean;
  /** ms; null where it was not measured. */
  readonly rpo: number | null;
  readonly rto: number | null;
}

export class RememberedDrills {
  readonly #settings: SettingStore;

  constructor(settings: SettingStore) {
    this.#settings = settings;
  }

  async keep({ at, drill, passed, rpo_ms, rto_ms }: DrillReport): Promise<void> {
    const last: LastDrill = { at, name: drill, passed, rpo: rpo_ms, rto: rto_ms };
    await this.#put(LAST, JSON.stringify(last), at);
    if (passed) await this.#put(PASSED, JSON.stringify(last), at);
    await this.#put(RUN + drill, String(at), at);
  }

  last(): Promise<LastDrill | undefined> {
    return this.#get(LAST);
  }

  lastPassed(): Promise<LastDrill | undefined> {
    return this.#get(PASSED);
  }

  /** All drills, the one first that was not rehearsed for the longest time. */
  async inTurn(): Promise<readonly DrillName[]> {
    const runs = await Promise.all(
      DRILL_NAMES.map(async (name) => {
        const row = await this.#settings.get({ name: RUN + name });
        return { name, at: Number(row?.value ?? 0) };
      }),
    );
    return runs.toSorted((a, b) => a.at - b.at).map(({ name }) => name);
  }

  async #get(name: string): Promise<LastDrill | undefined> {
    const row = await this.#settings.get({ name });
    return row && (JSON.parse(row.value) as LastDrill);
  }

  async #put(name: string, value: string, now: number): Promise<void> {
    await this.#settings.put({ setting: { name, value, updated_at: now }, if_absent: false });
  }
}
