import type { SigningKeyRecord } from '../store/records.ts';
import type { SigningKeyStore } from '../store/store.ts';

/** Signing keys in memory, for tests: each verb is atomic and answers later, as a database does. */
export class MemoryKeyRows implements SigningKeyStore {
  readonly rows = new Map<string, SigningKeyRecord>();
  /** What clients and resources ask for, ms. */
  longestLifetime = 0;
  /** Access tokens that were recorded. */
  readonly issuances: { readonly kid: string; readonly expires_at: number; revoked: boolean }[] = [];
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

  async retire(input: {
    kid: string;
    from: 'pending' | 'retiring';
    now: number;
  }): Promise<{ outcome: 'retired' | 'changed' }> {
    return this.#verb(() => {
      const row = this.rows.get(input.kid);
      if (row?.state !== input.from) return { outcome: 'changed' };
      Object.assign(row, { state: 'retired', retired_at: input.now });
      return { outcome: 'retired' };
    });
  }

  async compromise(input: { kid: string; now: number }): Promise<{ outcome: 'compromised' | 'changed' }> {
    return this.#verb(() => {
      const row = this.rows.get(input.kid);
      if (row === undefined || row.state === 'active' || row.state === 'compromised')
        return { outcome: 'changed' };
      Object.assign(row, { state: 'compromised', retired_at: input.now });
      return { outcome: 'compromised' };
    });
  }

  async takeOver({
    former,
    becomes,
    successor,
    now,
    retires_at,
  }: Parameters<SigningKeyStore['takeOver']>[0]): Promise<{ outcome: 'taken_over' | 'changed' }> {
    return this.#verb(() => {
      const active = this.#inState('active')[0];
      const known = this.rows.get(successor.kid);
      if ((active?.kid ?? null) !== former || (known !== undefined && known.state !== 'pending'))
        return { outcome: 'changed' };
      const end =
        becomes === 'retiring' ? { retires_at, retired_at: null } : { retires_at: null, retired_at: now };
      if (active !== undefined) Object.assign(active, { state: becomes, ...end });
      if (known === undefined) this.rows.set(successor.kid, { ...successor });
      else Object.assign(known, { state: 'active', activated_at: now });
      return { outcome: 'taken_over' };
    });
  }

  async countSigned({ kid, after }: { kid: string; after: number }) {
    return this.#verb(() => {
      const live = this.issuances.filter((row) => row.kid === kid && row.expires_at > after && !row.revoked);
      const last_expires_at = live.length === 0 ? null : Math.max(...live.map((row) => row.expires_at));
      return { count: live.length, last_expires_at, next: null };
    });
  }

  async revokeSigned({ kid, after }: { kid: string; after: number }) {
    return this.#verb(() => {
      const live = this.issuances.filter((row) => row.kid === kid && row.expires_at > after && !row.revoked);
      for (const row of live) row.revoked = true;
      return { count: live.length, next: null };
    });
  }

  async hasSigned(): Promise<boolean> {
    return this.#verb(() => this.issuances.length > 0);
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
