/**
 * What makes a restored database safe to serve: nothing that was revoked since the backup comes back to life. It runs on a
 * database that serves nobody yet. Every step may be repeated, and a second run from the start comes to the same end.
 */
import { Failure } from '../../kernel/errors.ts';
import type { Revocation, RevocationKind } from '../../store/records.ts';
import { LAST_REVOCATION, readRevocationId } from '../../store/revocation-id.ts';
import type { Store } from '../../store/store.ts';
import { REVOCATIONS_KEPT } from '../purge-targets.ts';

export type { Revocation } from '../../store/records.ts';

/** What the aftercare of a restore has to know. Times are ms. */
export interface Aftercare {
  /** When the restore takes place. It names the restore: the same for each try of one, another one for the next. */
  readonly now: number;
  /** The rows are those of this moment. */
  readonly restoredTo: number;
  /** `keep` only where nothing that happened until the end is missing: refresh tokens may have been spent since. */
  readonly sessions: 'keep' | 'end';
  /** In any order; those that the rows have seen do no harm. */
  readonly revocations: AsyncIterable<Revocation> | Iterable<Revocation>;
  /** The restore epoch of the database that is replaced, where that is known. */
  readonly formerEpoch?: number;
  /**
   * What becomes of users and clients that were removed since: `repeat` (unless said otherwise) removes them again; `disable`
   * keeps them, disabled, for those who restore because of the removal.
   */
  readonly removals?: 'repeat' | 'disable';
}

export interface AftercareReport {
  /** The restore epoch that has begun. */
  readonly epoch: number;
  /** Revocations that were replayed, by kind. */
  readonly replayed: Readonly<Record<string, number>>;
  readonly ended_sessions: number;
  readonly revoked_families: number;
  /** Rows that worked once and are gone, by table. */
  readonly voided: Readonly<Record<string, number>>;
  /** Ids of active users who have no password now, and of clients without a secret that lasts or a key; at most 1000 of each. */
  readonly passwords_to_reset: readonly string[];
  readonly secrets_to_reset: readonly string[];
  readonly keys_to_reset: readonly string[];
  /** Sentences about what an operator should know or do. */
  readonly notes: readonly string[];
}

const BATCH = 500;
/** Rows that a unit of work changes at most. */
const STRETCH = 2000;
/** How many ids a report names. */
const NAMED = 1000;

/**
 * Makes a staged database on today's schema safe: a new restore epoch, revocations replayed, what works once void, sessions
 * ended where asked. Failures: `refused` for a revocation that this version does not know, `unavailable`.
 */
export async function makeSafe(store: Store, request: Aftercare): Promise<AftercareReport> {
  const { now, formerEpoch = -1 } = request;
  await store.aftercare.begin({ now, least_epoch: formerEpoch + 1 });
  const { latestEpoch, outdated } = await receive(store, request);
  const { epoch } = await store.aftercare.raiseEpoch({ least_epoch: latestEpoch + 1 });
  await replay(store, request);
  const keyNotes = await settleKeys(store, now);
  const voided = await store.aftercare.voidOnce({});
  const ended = request.sessions === 'end' ? await endAll(store, now) : { sessions: 0, families: 0 };
  const replayed = await store.revocations.countReplayed({ restored_at: now });
  const named = { restored_at: now, limit: NAMED };
  const passwords = await store.aftercare.listWithoutPassword(named);
  const secrets = await store.aftercare.listWithoutSecret(named);
  const keys = await store.aftercare.listWithoutKey(named);
  return {
    epoch,
    replayed: Object.fromEntries(replayed.map(({ kind, count }) => [kind, count])),
    ended_sessions: ended.sessions,
    revoked_families: ended.families,
    voided,
    passwords_to_reset: passwords,
    secrets_to_reset: secrets,
    keys_to_reset: keys,
    notes: [
      ...keyNotes,
      ...resetNotes(passwords.length, secrets.length, keys.length),
      ...(outdated > 0
        ? [`${outdated} revocations were left out: they are older than the rows' own memory of them.`]
        : []),
    ],
  };
}

/** Puts the revocations that the rows lack beside them, to be replayed in the order in which they were written. */
async function receive(store: Store, { now, restoredTo, revocations }: Aftercare) {
  // What the rows have known, and may have forgotten since.
  const known = Number((await store.settings.get({ name: LAST_REVOCATION }))?.value ?? 0);
  let latestEpoch = -1;
  let outdated = 0;
  let batch: Revocation[] = [];
  const flush = async () => {
    await store.revocations.receive({ revocations: batch, restored_at: now });
    batch = [];
  };
  for await (const revocation of revocations) {
    const { epoch, number } = checked(store, revocation);
    latestEpoch = Math.max(latestEpoch, epoch);
    // The purge has taken it away since; the rows show what it did, and may have moved on. One that they never had is new,
    // whatever the clock said.
    if (revocation.at < restoredTo - REVOCATIONS_KEPT && number <= known) outdated++;
    else batch.push(revocation);
    if (batch.length >= BATCH) await flush();
  }
  await flush();
  return { latestEpoch, outdated };
}

/** Where a revocation that can be replayed has its place. @throws Failure `refused` */
function checked(
  store: Store,
  { id, kind }: Revocation,
): { readonly epoch: number; readonly number: number } {
  const place = readRevocationId(id);
  if (place !== undefined && Object.hasOwn(store.takeAway, kind)) return place;
  throw new Failure('refused', `This version does not know how to replay the revocation "${kind}".`, {
    detail: `the revocation has the id ${id}`,
    hint: 'It was written by a newer authserver, or it is damaged. Restore with the newest version that has run here.',
  });
}

async function replay(store: Store, { now, removals = 'repeat' }: Aftercare): Promise<void> {
  for (let after = ''; ; ) {
    const page = await store.revocations.listReceived({ restored_at: now, after, limit: BATCH });
    for (const revocation of page) {
      const take = store.takeAway[removals === 'disable' ? softened(revocation.kind) : revocation.kind];
      await take({ revocation, restored_at: now, now });
      after = revocation.id;
    }
    if (page.length < BATCH) return;
  }
}

function softened(kind: RevocationKind): RevocationKind {
  if (kind === 'user_removed') return 'user_disabled';
  return kind === 'client_removed' ? 'client_disabled' : kind;
}

/** Revokes what dropped keys have signed, and lets the waiting key sign where the one that signed was dropped. */
async function settleKeys(store: Store, now: number): Promise<readonly string[]> {
  const before = await store.keys.list({});
  for (const { kid } of before.filter(({ state }) => state === 'compromised')) {
    for (let after: number | null = now; after !== null; )
      after = (await store.keys.revokeSigned({ kid, now, after, limit: STRETCH })).next;
  }
  if (before.length === 0 || before.some(({ state }) => state === 'active')) return [];
  const { kid } = await store.aftercare.promoteKey({ now });
  if (kid !== null)
    return [
      `The key that signed was dropped as compromised after the backup: ${kid}, which was waiting, signs now.`,
    ];
  return [
    'No key signs: the one that did was dropped as compromised after the backup, and none is made in its place.',
  ];
}

async function endAll(store: Store, now: number): Promise<{ sessions: number; families: number }> {
  const { endSessions, revokeFamilies } = store.aftercare;
  return { sessions: await all(endSessions, now), families: await all(revokeFamilies, now) };
}

async function all(change: Store['aftercare']['endSessions'], now: number): Promise<number> {
  let sum = 0;
  for (let after: string | null = ''; after !== null; ) {
    const step: Awaited<ReturnType<typeof change>> = await change({ after, limit: STRETCH, now });
    sum += step.changed;
    after = step.next;
  }
  return sum;
}

function resetNotes(passwords: number, secrets: number, keys: number): readonly string[] {
  const many = (count: number) => (count < NAMED ? String(count) : `${count} or more`);
  return [
    ...(passwords > 0
      ? [
          `${many(passwords)} users changed their password after the backup and have none now: authserver admin user set-password`,
        ]
      : []),
    ...(secrets > 0
      ? [
          `${many(secrets)} clients got another secret or another way to prove themselves after the backup, and have no secret that lasts now: authserver admin client rotate-secret`,
        ]
      : []),
    ...(keys > 0
      ? [
          `${many(keys)} clients got another key or another way to prove themselves after the backup, and have no key now: authserver admin client update --jwks`,
        ]
      : []),
  ];
}
