import type { SigningKeyRecord } from '../store/records.ts';
import type { SigningKeyStore } from '../store/store.ts';

/** Signing keys in memory, for tests: each verb is atomic and answers later, as a database does. */
export class MemoryKeyRows implements SigningKeyStore {
  readonly rows = new Map<string, SigningKeyRecord>();
  /** What clients and resources ask for, ms. */
  longestLifetime = 0;
  /** Thrown by every verb while it is set. */
  outage: Error | undefined;

  async list(): Promise<SigningKeyRecord[]> {
    return this.#verb(() =>
      [...this.rows.values()].map((row) => ({ ...row })).sort((a, b) => a.created_at - b.created_at),
    );
  }

  async addFirst({ key }: { key: SigningKeyRecord }): Promise<{ outcome: 'added' | 'taken' }> {
    return this.#verb(() => (this.rows.size > 0 ? { outcome: 'taken' } : this.#add(key)));
  }

  async addPending({ key }: { key: SigningKeyRecord }): Promise<{ outcome: 'added' | 'taken' }> {
    return this.#verb(() => (this.#inState('pending').length > 0 ? { outcome: 'taken' } : this.#add(key)));
  }

  async activate(input: {
    kid: string;
    now: number;
    retires_at: number;
    margin: number;
  }): Promise<{ outcome: 'activated' | 'unknown' }> {
    return this.#verb(() => {
      const next = this.rows.get(input.kid);
      if (next?.state !== 'pending') return { outcome: 'unknown' };
      for (const former of this.#inState('active')) {
        Object.assign(former, { state: 'retiring', retires_at: input.retires_at });
      }
      Object.assign(next, { state: 'active', activated_at: input.now });
      return { outcome: 'activated' };
    });
  }

  async retireDue({ now }: { now: number }): Promise<{ retired: number }> {
    return this.#verb(() => {
      const due = this.#inState('retiring').filter((row) => row.retires_at !== null && row.retires_at <= now);
      for (const row of due) Object.assign(row, { state: 'retired', retired_at: now });
      return { retired: due.length };
    });
  }

  async longestTokenLifetime(): Promise<number> {
    return this.#verb(() => this.longestLifetime);
  }

  #add(key: SigningKeyRecord): { outcome: 'added' } {
    this.rows.set(key.kid, { ...key });
    return { outcome: 'added' };
  }

  #inState(state: SigningKeyRecord['state']): SigningKeyRecord[] {
    return [...this.rows.values()].filter((row) => row.state === state);
  }

  async #verb<T>(work: () => T): Promise<T> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.outage !== undefined) throw this.outage;
    const answer = work();
    await new Promise((resolve) => setImmediate(resolve));
    return answer;
  }
}
