import { Failure } from '../kernel/errors.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import { discardUnpublished, newRecord } from './first-key.ts';
import type { KeyView, RingKey } from './key-view.ts';
import { retirementMargin, retiresAt } from './lifecycle.ts';
import type { KeyChange, KeyringParts } from './parts.ts';
import type { KeyStore } from './stores/key-store.ts';

/** What the verbs that change keys work with: the parts of a keyring, what it knows, and how it learns more. */
export interface KeyDesk {
  readonly parts: KeyringParts;
  view(): KeyView;
  /** Reads the database after this call. */
  refresh(): Promise<void>;
  /** Does what is due: see `Keyring.tick`. */
  tick(): Promise<void>;
  tell(change: KeyChange, message: string): void;
}

/** A private half that lies in a key store and belongs to no key of the database. */
export interface StrayKey {
  readonly kid: string;
  /** Where it lies. */
  readonly place: string;
}

/** How many access tokens are walked through at a time: so few that nobody waits for it. */
export const STRETCH = 2000;

/** How often a verb tries again that others have overtaken. */
const TRIES = 5;

/** The key that an operator named. Failures: `not_found`. */
export function knownKey({ view }: KeyDesk, kid: string): RingKey {
  const known = view().keys.get(kid);
  if (known !== undefined) return known;
  throw new Failure('not_found', `There is no signing key "${kid}".`, {
    hint: 'List the keys to see their ids: authserver keys list',
  });
}

/** A key id as the last word of a command line: one in 64 begins with a dash. */
export function lastWord(kid: string): string {
  return kid.startsWith('-') ? `-- ${kid}` : kid;
}

/** Keys of the database in the order of the view. */
export function records({ view }: KeyDesk): readonly SigningKeyRecord[] {
  return [...view().keys.values()].map(({ record }) => record);
}

/** Tries while others change the keys at the same time. Failures: `conflict` when they do not stop. */
export async function untilSettled<T>(desk: KeyDesk, attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < TRIES; tries++) {
    await desk.refresh();
    const done = await attempt();
    if (done !== undefined) {
      await desk.refresh();
      return done;
    }
  }
  throw new Failure('conflict', 'The signing keys are being changed by somebody else at the same time.', {
    hint: 'List the keys, then decide: authserver keys list',
  });
}

/** The private halves in the store where new keys are made that the database does not know. */
export async function strayKeys({ parts, view }: KeyDesk): Promise<readonly StrayKey[]> {
  const { home } = parts.keyStores;
  if (home.external) return [];
  const kept = await home.list();
  return kept.filter((kid) => !view().keys.has(kid)).map((kid) => ({ kid, place: home.locate(kid) }));
}

/** The store that keeps a key's private half; undefined when the settings do not open it. */
export function storeOf({ parts }: KeyDesk, record: SigningKeyRecord): Promise<KeyStore | undefined> {
  return parts.keyStores.named(record.key_store);
}

export interface Succession {
  readonly kid: string;
  /** How long verifiers have been able to know it, ms; 0 for a key that was made for this. */
  readonly published_for: number;
}

/**
 * Another key signs from now on: the pending one where its private half is here, which verifiers may know already, and
 * otherwise a new one. Undefined when others were quicker.
 */
export async function replaceActive(
  desk: KeyDesk,
  former: SigningKeyRecord | undefined,
  becomes: 'retiring' | 'compromised',
): Promise<Succession | undefined> {
  const { store, keyStores, algorithm, clock, log } = desk.parts;
  const waiting = records(desk).find(({ state, kid }) => state === 'pending' && desk.view().signers.has(kid));
  const record =
    waiting ?? newRecord(await keyStores.home.create(algorithm), keyStores.home, signsFrom(clock.now()));
  const taken = await takeOver(desk, former, becomes, record);
  if (!taken) {
    if (waiting === undefined) await discardUnpublished(store, keyStores.home, record.kid);
    return undefined;
  }
  log.warn({ kid: record.kid, former: former?.kid, becomes }, 'a signing key has taken over at once');
  if (waiting === undefined) desk.tell({ action: 'key.created', kid: record.kid }, 'made a signing key');
  else desk.tell({ action: 'key.activated', kid: record.kid }, 'the waiting signing key has taken over');
  return { kid: record.kid, published_for: waiting ? clock.now() - waiting.created_at : 0 };
}

/** Makes this key the one that signs; false when others were quicker. */
export async function takeOver(
  desk: KeyDesk,
  former: SigningKeyRecord | undefined,
  becomes: 'retiring' | 'compromised',
  successor: SigningKeyRecord,
): Promise<boolean> {
  const { store, clock, timing } = desk.parts;
  const longest = await longestLifetime(desk);
  const now = clock.now();
  const { outcome } = await store.takeOver({
    former: former?.kid ?? null,
    becomes,
    successor: { ...successor, state: 'active', activated_at: now },
    now,
    retires_at: retiresAt(now, longest, timing),
    margin: retirementMargin(timing),
  });
  return outcome === 'taken_over';
}

/** The longest lifetime, ms, of any token that is signed now. */
export async function longestLifetime({ parts: { store, timing } }: KeyDesk): Promise<number> {
  return Math.max(timing.longestLifetime, await store.longestTokenLifetime({}));
}

/** The times of a key that signs as soon as it is there. */
export function signsFrom(now: number): { now: number; activatesAt: number } {
  return { now, activatesAt: now };
}

export interface Signed {
  /** Access tokens in force. */
  readonly count: number;
  /** ms, when the last of them runs out; null for none. */
  readonly last_expires_at: number | null;
}

/** The access tokens in force that a key has signed. */
export async function tokensOf({ parts: { store, clock } }: KeyDesk, kid: string): Promise<Signed> {
  let count = 0;
  let last: number | null = null;
  for (let after: number | null = clock.now(); after !== null; ) {
    const found = await store.countSigned({ kid, after, limit: STRETCH });
    count += found.count;
    last = found.last_expires_at ?? last;
    after = found.next;
  }
  return { count, last_expires_at: last };
}

/** ms, until when ID tokens can live that a key has signed before another took over; null for one that never signed. */
export function idTokensUntil(desk: KeyDesk, { kid, activated_at }: SigningKeyRecord): number | null {
  if (activated_at === null) return null;
  const later = records(desk).flatMap((other) =>
    other.kid !== kid && other.activated_at !== null && other.activated_at >= activated_at
      ? [other.activated_at]
      : [],
  );
  const stopped = later.length === 0 ? desk.parts.clock.now() : Math.min(...later);
  return stopped + desk.parts.timing.idTokenLifetime + retirementMargin(desk.parts.timing);
}
