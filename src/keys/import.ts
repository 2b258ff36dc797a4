/** Keys from elsewhere: a key that was lost comes back to its place, another one waits for its turn like any new key. */
import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { Failure } from '../kernel/errors.ts';
import type { KeyState, SigningKeyRecord } from '../store/records.ts';
import { type KeyDesk, lastWord, records, signsFrom, storeOf, takeOver, untilSettled } from './desk.ts';
import { discardUnpublished, newRecord } from './first-key.ts';
import { type KeyPair, pairOf, readKeyPair, writePem } from './key-pair.ts';
import { refuseUnanswered } from './key-view.ts';
import { activatesAt } from './lifecycle.ts';
import type { KeyStore, PemStore } from './stores/key-store.ts';

export interface ImportInput {
  /** PKCS #8 or SEC 1 in PEM, or a private JWK. */
  readonly key: string;
  /** Of an encrypted PEM. */
  readonly passphrase?: string | undefined;
  /** The key is to sign at once. */
  readonly activeNow: boolean;
}

export interface ImportReport {
  readonly kid: string;
  readonly state: KeyState;
  /** ms, from when it signs. */
  readonly activates_at: number;
  /** `restored`: it was a key of the database whose private half was missing. `known`: nothing was missing. */
  readonly outcome: 'added' | 'restored' | 'known';
}

/**
 * Takes a private key in. Failures: `invalid_input` for what is no key of ours, `refused` where it may not come back, may not
 * sign at once, or the key store takes none in, `conflict` where another key waits, `unavailable`.
 */
export async function importKey(desk: KeyDesk, input: ImportInput): Promise<ImportReport> {
  const pair = readPrivateKey(input);
  await desk.refresh();
  const known = desk.view().keys.get(pair.kid)?.record;
  return known === undefined ? add(desk, pair, input.activeNow) : restore(desk, pair, known);
}

function readPrivateKey({ key: text, passphrase }: ImportInput): KeyPair {
  const pair = pairOf(parsePrivateKey(text, passphrase));
  if (pair !== undefined) return pair;
  throw new Failure('invalid_input', 'This is a private key that tokens cannot be signed with.', {
    hint: 'Use a P-256, an Ed25519, or an RSA key of at least 2048 bits. A damaged one is refused too.',
  });
}

function parsePrivateKey(text: string, passphrase: string | undefined): KeyObject {
  try {
    const isJwk = text.trimStart().startsWith('{');
    if (isJwk) return createPrivateKey({ key: JSON.parse(text) as JsonWebKey, format: 'jwk' });
    return createPrivateKey({ key: text, format: 'pem', ...(passphrase !== undefined && { passphrase }) });
  } catch (cause) {
    const locked = text.includes('ENCRYPTED');
    throw new Failure(
      'invalid_input',
      locked ? 'The passphrase does not open this private key.' : 'This is not a private key.',
      {
        hint: locked
          ? 'Use the passphrase that the key was exported with.'
          : 'Give a private key in PEM (PKCS #8 or SEC 1), or one private JWK.',
        cause,
      },
    );
  }
}

/** The private half of a key of the database: its id proves that it belongs there. */
async function restore(desk: KeyDesk, pair: KeyPair, record: SigningKeyRecord): Promise<ImportReport> {
  const { kid, state, activates_at } = record;
  if (state === 'retired' || state === 'compromised') {
    throw new Failure('refused', `The key ${kid} is ${state} and does not come back.`, {
      hint: 'Its public half is still here, for hints that it once signed. For a new key: authserver keys rotate',
    });
  }
  const pems = pemsOf(await storeOf(desk, record), record.key_store);
  const isHere = readKeyPair((await pems.load(kid)) ?? '')?.kid === kid;
  if (!isHere) {
    await pems.save(kid, writePem(pair));
    desk.tell({ action: 'key.restored', kid }, 'the private half of a signing key is back');
  }
  await desk.refresh();
  return { kid, state, activates_at, outcome: isHere ? 'known' : 'restored' };
}

async function add(desk: KeyDesk, pair: KeyPair, activeNow: boolean): Promise<ImportReport> {
  const { store, keyStores, clock, timing } = desk.parts;
  const { home } = keyStores;
  const pems = pemsOf(home, home.name);
  const check = async () => (activeNow ? refuseToReplace(desk) : refuseSecond(desk));
  await check();
  const wasThere = (await home.list()).includes(pair.kid);
  await pems.save(pair.kid, writePem(pair));
  const record = await untilSettled(desk, async () => {
    await check();
    const now = clock.now();
    const times = activeNow ? signsFrom(now) : { now, activatesAt: activatesAt(now, timing) };
    const key = newRecord(pair, home, times);
    if (!activeNow) return (await store.addPending({ key })).outcome === 'added' ? key : undefined;
    const active = records(desk).find(({ state }) => state === 'active');
    return (await takeOver(desk, active, 'retiring', key)) ? key : undefined;
  }).catch(async (error: unknown) => {
    if (!wasThere) await discardUnpublished(store, home, pair.kid);
    throw error;
  });
  const { kid, state, activates_at } = record;
  desk.tell({ action: 'key.imported', kid }, 'took in a signing key from elsewhere');
  return { kid, state, activates_at, outcome: 'added' };
}

/** A key signs at once only where no verifier is surprised, or all are already. */
async function refuseToReplace({ parts: { store }, view }: KeyDesk): Promise<void> {
  const { signer } = view();
  if (!(await store.hasSigned({}))) return;
  if (signer === undefined) return refuseUnanswered(view());
  throw new Failure('refused', `Tokens have been issued, and ${signer.kid} signs.`, {
    hint: 'Import it without --active-now: it takes over once every client can know it.',
  });
}

function refuseSecond(desk: KeyDesk): void {
  const waiting = records(desk).find(({ state }) => state === 'pending');
  if (waiting === undefined) return;
  throw new Failure('conflict', `Another key is waiting already: ${waiting.kid}.`, {
    hint: `Import this one when that one has taken over, or withdraw that one first: authserver keys retire ${lastWord(waiting.kid)}`,
  });
}

/** Failures: `refused` where a store is not open here, or takes no private halves in. */
export function pemsOf(keyStore: KeyStore | undefined, name: string): PemStore {
  if (keyStore?.pems !== undefined) return keyStore.pems;
  const why =
    keyStore === undefined ? 'is not open here' : 'neither takes private keys in nor gives them away';
  throw new Failure('refused', `The key store "${name}" ${why}.`, {
    hint:
      keyStore === undefined
        ? `Set what signing.key_store "${name}" needs, then try again.`
        : 'Rotate there instead: authserver keys rotate',
  });
}
