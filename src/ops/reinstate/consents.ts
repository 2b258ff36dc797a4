/** Consents that things had, and what became of them since. */
import { Failure } from '../../kernel/errors.ts';
import type { ConsentRecord } from '../../store/records.ts';
import type { Prospect, ReinstateStores } from './outlook.ts';
import type { FoundThing, PickedRow } from './picker.ts';
import type { ConsentReport } from './report.ts';

/** How many a unit of work adds, and how many withdrawals are asked for at once. */
const BATCH = 200;
/** How many ids a report names. */
const NAMED = 20;
const TRIES = 5;

/** Sorts consents by whether they can come back. One pass. */
export class ConsentWalk {
  readonly #store: ReinstateStores;
  readonly #prospects: readonly Prospect[];
  readonly #missing = new Set<string>();
  #counts = { added: 0, present: 0, withdrawn: 0, orphaned: 0 };
  #withdrawn: ReadonlySet<string> = new Set();
  /** When they were made; never, for who is not there. */
  #lastUser = { id: '', since: Number.POSITIVE_INFINITY };
  #lastClient = { id: '', since: Number.POSITIVE_INFINITY };

  constructor(store: ReinstateStores, prospects: readonly Prospect[]) {
    this.#store = store;
    this.#prospects = prospects;
  }

  get report(): ConsentReport {
    return { ...this.#counts, missing: [...this.#missing] };
  }

  /** Goes through them; `add` is given those that can come back, in batches, and says how many did. */
  async run(
    rows: AsyncIterable<PickedRow>,
    seen: string,
    add: (consents: readonly ConsentRecord[]) => Promise<number>,
  ): Promise<void> {
    this.#withdrawn = await this.#withdrawals(seen);
    let batch: ConsentRecord[] = [];
    const flush = async () => {
      const added = batch.length === 0 ? 0 : await add(batch);
      this.#counts.added += added;
      // Somebody else was first, or took away whose they were.
      this.#counts.present += batch.length - added;
      batch = [];
    };
    for await (const picked of rows) {
      if (picked.table !== 'consents') continue;
      const standing = await this.#standing(picked.row);
      if (standing === 'absent') batch.push(picked.row);
      else this.#counts[standing] += 1;
      if (batch.length >= BATCH) await flush();
    }
    await flush();
  }

  async #standing(consent: ConsentRecord): Promise<'absent' | 'present' | 'withdrawn' | 'orphaned'> {
    const { user_id, client_id, resource } = consent;
    if (this.#withdrawn.has(pair(user_id, client_id))) return 'withdrawn';
    if (this.#lastUser.id !== user_id)
      this.#lastUser = { id: user_id, since: await this.#userSince(user_id) };
    if (this.#lastClient.id !== client_id)
      this.#lastClient = { id: client_id, since: await this.#clientSince(client_id) };
    // Who was removed and made again under the same id is somebody else, whom nobody has allowed anything.
    if (this.#lastUser.since > consent.granted_at) return this.#orphaned(`user:${user_id}`);
    if (this.#lastClient.since > consent.granted_at) return this.#orphaned(`client:${client_id}`);
    const now = await this.#store.consents.find({ user_id, client_id });
    return now.some((one) => one.resource === resource) ? 'present' : 'absent';
  }

  #orphaned(whose: string): 'orphaned' {
    if (this.#missing.size < NAMED) this.#missing.add(whose);
    return 'orphaned';
  }

  async #userSince(id: string): Promise<number> {
    const added = this.#added('user', id);
    if (added?.kind === 'user') return added.former.user.created_at;
    return (await this.#store.users.find({ id }))?.created_at ?? Number.POSITIVE_INFINITY;
  }

  async #clientSince(id: string): Promise<number> {
    const added = this.#added('client', id);
    if (added?.kind === 'client') return added.former.client.created_at;
    return (await this.#store.clients.find({ id }))?.created_at ?? Number.POSITIVE_INFINITY;
  }

  #added(kind: FoundThing['kind'], id: string): Prospect | undefined {
    return this.#prospects.find(
      ({ report }) => report.kind === kind && report.id === id && report.action === 'add',
    );
  }

  async #withdrawals(seen: string): Promise<ReadonlySet<string>> {
    const pairs = new Set<string>();
    for (const { kind, report } of this.#prospects) {
      if (kind === 'resource') continue;
      const { withdrawnBy, withdrawnFrom } = this.#store.reinstate;
      const withdrawals = kind === 'user' ? withdrawnBy : withdrawnFrom;
      for (let after: string | undefined = seen; after !== undefined; ) {
        const page: Awaited<ReturnType<typeof withdrawals>> = await withdrawals({
          id: report.id,
          after,
          limit: BATCH,
        });
        for (const { user_id, client_id } of page) pairs.add(pair(user_id ?? '', client_id ?? ''));
        after = page.length < BATCH ? undefined : page.at(-1)?.id;
      }
    }
    return pairs;
  }
}

/** Adds a batch; again, when a user or a client goes in between. Failures: `conflict`, `unavailable`. */
export async function addConsents(
  store: ReinstateStores,
  consents: readonly ConsentRecord[],
): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await store.reinstate.consents({ consents });
    if (answer.outcome === 'added') return answer.added;
  }
  throw new Failure('conflict', 'Users or clients are being removed while their consents come back.', {
    hint: 'What was put back so far is back. Run it again when that is over: it goes on with what is missing.',
  });
}

function pair(user_id: string, client_id: string): string {
  return JSON.stringify([user_id, client_id]);
}
