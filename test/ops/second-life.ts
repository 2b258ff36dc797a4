// Owns a database as it was at one moment, and what becomes of it when it is brought back later: the rows in a scratch place,
// the revocations that have come since, the aftercare.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { migrateSchema, openStore, type StorageChoice } from '../../src/app/open-store.ts';
import { openScratch } from '../../src/app/scratch.ts';
import { loadSnapshot, readSnapshot } from '../../src/app/snapshots.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { type Aftercare, type AftercareReport, makeSafe } from '../../src/ops/restore/aftercare.ts';
import type { Revocation } from '../../src/store/records.ts';
import { digestTables, type TableTotal } from '../../src/store/snapshot.ts';
import type { Store } from '../../src/store/store.ts';

/** A copy of a database that stays as it was. */
export class SecondLife {
  readonly storage: StorageChoice;
  /** The moment that the rows are of, ms. */
  readonly restoredTo: number;
  readonly #dispose: () => Promise<void>;

  private constructor(storage: StorageChoice, restoredTo: number, dispose: () => Promise<void>) {
    this.storage = storage;
    this.restoredTo = restoredTo;
    this.#dispose = dispose;
  }

  /** Everything that is in a database now, in another place of the same engine. */
  static async of(storage: StorageChoice, clock: Clock): Promise<SecondLife> {
    const parent = await mkdtemp(path.join(tmpdir(), 'authserver-second-life-'));
    const scratch = await openScratch(storage, parent);
    await migrateSchema(scratch.storage, { clock, random: systemRandom });
    await using snapshot = await readSnapshot(storage, { clock });
    await loadSnapshot(scratch.storage, { steps: snapshot.head.steps, parts: snapshot.parts() });
    return new SecondLife(scratch.storage, clock.now(), async () => {
      await scratch[Symbol.asyncDispose]();
      await rm(parent, { recursive: true, force: true });
    });
  }

  /** What a restore does with it before it is served. */
  async makeSafe(request: Omit<Aftercare, 'restoredTo'>): Promise<AftercareReport> {
    return this.use((store) => makeSafe(store, { restoredTo: this.restoredTo, ...request }));
  }

  async use<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const store = await openStore(this.storage, silentLog);
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  /** Of every table. */
  async digests(clock: Clock): Promise<readonly TableTotal[]> {
    await using snapshot = await readSnapshot(this.storage, { clock });
    return await digestTables(snapshot);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dispose();
  }
}

/** Every revocation that a database knows. */
export async function* revocationsOf(store: Pick<Store, 'revocations'>): AsyncGenerator<Revocation> {
  for (let after = ''; ; ) {
    const page = await store.revocations.list({ after, limit: 3 });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}
