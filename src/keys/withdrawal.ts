/** How keys are taken out of use before their time: retired early, or dropped because somebody else may have them. */
import { Failure } from '../kernel/errors.ts';
import type { KeyState, SigningKeyRecord } from '../store/records.ts';
import { isSpent, removePrivateHalf } from './clearing.ts';
import {
  idTokensUntil,
  type KeyDesk,
  knownKey,
  replaceActive,
  STRETCH,
  type Succession,
  tokensOf,
  untilSettled,
} from './desk.ts';

export interface Retirement {
  readonly kid: string;
  /** What the key was before. */
  readonly former_state: KeyState;
}

/**
 * Retires a retiring key whose last token has run out, or withdraws the pending key.
 * Failures: `not_found`, `refused` for a key with live tokens or the one that signs, `conflict`.
 */
export async function retire(desk: KeyDesk, kid: string): Promise<Retirement> {
  const { store, clock } = desk.parts;
  const former = await untilSettled(desk, async () => {
    const { record } = knownKey(desk, kid);
    const { state: from } = record;
    if (from === 'retired') return from;
    if (from !== 'pending' && from !== 'retiring') throw notToRetire(record);
    if (from === 'retiring') await refuseLiveTokens(desk, record);
    const { outcome } = await store.retire({ kid, from, now: clock.now() });
    return outcome === 'retired' ? from : undefined;
  });
  if (former !== 'retired') desk.tell({ action: 'key.retired', kid }, 'a signing key was retired early');
  const { record } = knownKey(desk, kid);
  if (isSpent(desk, record)) await removePrivateHalf(desk, record);
  return { kid, former_state: former };
}

function notToRetire({ kid, state }: SigningKeyRecord): Failure {
  if (state === 'compromised')
    return new Failure('refused', `The signing key ${kid} has been dropped as compromised already.`);
  return new Failure('refused', `The signing key ${kid} is the one that signs.`, {
    hint: `Let another one take over first: authserver keys rotate. If somebody else may have it: authserver keys rotate --compromised ${kid}`,
  });
}

async function refuseLiveTokens(desk: KeyDesk, record: SigningKeyRecord): Promise<void> {
  const { kid } = record;
  const { count, last_expires_at } = await tokensOf(desk, kid);
  const until = Math.max(last_expires_at ?? 0, idTokensUntil(desk, record) ?? 0);
  if (until <= desk.parts.clock.now()) return;
  const tokens = count === 0 ? 'ID tokens' : `${count} access ${count === 1 ? 'token' : 'tokens'}`;
  const end = new Date(until).toISOString();
  throw new Failure('refused', `The signing key ${kid} has signed ${tokens} that may live until ${end}.`, {
    hint: `Wait: it retires by itself. If somebody else may have the key, drop it with all that it signed: authserver keys rotate --compromised ${kid}`,
  });
}

export interface CompromiseReport {
  readonly kid: string;
  readonly former_state: KeyState;
  /** The key that signs instead; null where the dropped one did not sign. */
  readonly successor: Succession | null;
  /** Access tokens that were in force and are revoked now. */
  readonly revoked: number;
  /** ms, until when they would have lived, and ID tokens that may be out there; null where there are none. */
  readonly access_tokens_until: number | null;
  readonly id_tokens_until: number | null;
  /** How long, ms, verifiers that have cached the JWK set may refuse what the successor signs, and accept what the dropped key signs. */
  readonly jwks_max_age: number;
  /** What became of the private half: `removed`, or what is left to do. */
  readonly private_half: string;
}

/**
 * Drops a key at once, with everything it has signed; where it was the one that signs, another one does from now on.
 * After a run that was killed, another one finishes what is left. Failures: `not_found`, `conflict`, `refused` by a key
 * store that cannot make another key.
 */
export async function compromise(desk: KeyDesk, kid: string): Promise<CompromiseReport> {
  const { timing, clock } = desk.parts;
  await desk.refresh();
  const { record } = knownKey(desk, kid);
  const idTokens = idTokensUntil(desk, record);
  const dropped = await untilSettled(desk, () => drop(desk, kid));
  const signed = await tokensOf(desk, kid);
  const revoked = await revokeSigned(desk, kid);
  return {
    kid,
    ...dropped,
    revoked,
    access_tokens_until: signed.last_expires_at,
    id_tokens_until: idTokens !== null && idTokens > clock.now() ? idTokens : null,
    jwks_max_age: timing.jwksMaxAge,
    private_half: await removePrivateHalf(desk, record),
  };
}

type Dropped = Pick<CompromiseReport, 'former_state' | 'successor'>;

async function drop(desk: KeyDesk, kid: string): Promise<Dropped | undefined> {
  const { store, clock } = desk.parts;
  const { record } = knownKey(desk, kid);
  const { state: former_state } = record;
  if (former_state === 'compromised') return { former_state, successor: null };
  if (former_state === 'active') {
    const successor = await replaceActive(desk, record, 'compromised');
    if (successor === undefined) return undefined;
    desk.tell({ action: 'key.compromised', kid }, 'a signing key was dropped as compromised');
    return { former_state, successor };
  }
  const { outcome } = await store.compromise({ kid, now: clock.now() });
  if (outcome === 'changed') return undefined;
  desk.tell({ action: 'key.compromised', kid }, 'a signing key was dropped as compromised');
  return { former_state, successor: null };
}

async function revokeSigned({ parts: { store, clock } }: KeyDesk, kid: string): Promise<number> {
  const now = clock.now();
  let revoked = 0;
  for (let after: number | null = now; after !== null; ) {
    const { count, next } = await store.revokeSigned({ kid, now, after, limit: STRETCH });
    revoked += count;
    after = next;
  }
  return revoked;
}
