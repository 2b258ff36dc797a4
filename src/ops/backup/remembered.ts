/** What the deployment remembers about its backups, in its own database: it goes into the next one. */
import type { SettingStore } from '../../store/store.ts';

/** The sequence of the last backup that was begun. */
const SEQUENCE = 'backup.sequence';
const LAST_VERIFIED = 'backup.last_verified';
const LAST_RUN = 'backup.last_run';
/** And the name of a target: how many verified backups its last prune kept. */
const KEPT = 'backup.kept.';

/** And the name of a target: the last backup that was put there. */
const LAST_ON = 'backup.on.';

/** The last backup that was restored and tried. */
export interface VerifiedBackup {
  readonly id: string;
  /** ms, when it passed. */
  readonly at: number;
  /** ms, when it was made. */
  readonly made_at: number;
  readonly rto_ms: number;
  readonly rows: number;
  /** Bytes. */
  readonly size: number;
}

/** The last backup that was put on a target. */
export interface StoredBackup {
  readonly id: string;
  /** Of the deployment then: after a restore its targets may be others, on another machine. */
  readonly restore_epoch: number;
}

export interface LastRun {
  /** ms, when it began. */
  readonly at: number;
  readonly outcome: string;
}

export class RememberedBackups {
  readonly #settings: SettingStore;

  constructor(settings: SettingStore) {
    this.#settings = settings;
  }

  async sequence(): Promise<number> {
    return Number((await this.#get(SEQUENCE)) ?? 0);
  }

  async keepSequence(sequence: number, now: number): Promise<void> {
    await this.#put(SEQUENCE, String(sequence), now);
  }

  lastVerified(): Promise<VerifiedBackup | undefined> {
    return this.#getJson<VerifiedBackup>(LAST_VERIFIED);
  }

  /** A backup that is older than the one remembered does not take its place. */
  async keepVerified(backup: VerifiedBackup): Promise<void> {
    const known = await this.lastVerified();
    if (known !== undefined && known.made_at > backup.made_at && known.made_at <= backup.at) return;
    await this.#put(LAST_VERIFIED, JSON.stringify(backup), backup.at);
  }

  lastRun(): Promise<LastRun | undefined> {
    return this.#getJson<LastRun>(LAST_RUN);
  }

  async keepRun(run: LastRun): Promise<void> {
    await this.#put(LAST_RUN, JSON.stringify(run), run.at);
  }

  /** Undefined where nothing was pruned yet. */
  async kept(target: string): Promise<number | undefined> {
    const value = await this.#get(`${KEPT}${target}`);
    return value === undefined ? undefined : Number(value);
  }

  async keepKept(target: string, count: number, now: number): Promise<void> {
    await this.#put(`${KEPT}${target}`, String(count), now);
  }

  /** Undefined where none was yet. */
  lastOn(target: string): Promise<StoredBackup | undefined> {
    return this.#getJson<StoredBackup>(`${LAST_ON}${target}`);
  }

  async keepLastOn(target: string, backup: StoredBackup, now: number): Promise<void> {
    await this.#put(`${LAST_ON}${target}`, JSON.stringify(backup), now);
  }

  async #getJson<Value>(name: string): Promise<Value | undefined> {
    const value = await this.#get(name);
    return value === undefined ? undefined : (JSON.parse(value) as Value);
  }

  async #get(name: string): Promise<string | undefined> {
    return (await this.#settings.get({ name }))?.value;
  }

  async #put(name: string, value: string, now: number): Promise<void> {
    await this.#settings.put({ setting: { name, value, updated_at: now }, if_absent: false });
  }
}
