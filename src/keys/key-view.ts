import { createPublicKey, type KeyObject } from 'node:crypto';
import { asFailure, Failure } from '../kernel/errors.ts';
import type { KeyState, SigningKeyRecord } from '../store/records.ts';
import { type PublicJwk, publicJwk } from './jwk.ts';
import type { JwsSigner } from './jws.ts';
import type { KeyStores } from './stores/key-store.ts';

export interface RingKey {
  readonly record: SigningKeyRecord;
  readonly publicKey: KeyObject;
  readonly jwk: PublicJwk;
}

/** What a process knows of all keys at one moment; replaced as a whole, so that no half of it is ever newer. */
export interface KeyView {
  /** ms, when the database was asked. */
  readonly readAt: number;
  /** Every key by id: the active one first, then the pending one, then by age. */
  readonly keys: ReadonlyMap<string, RingKey>;
  /** Signers of the active and the pending key, as far as their private halves are here. */
  readonly signers: ReadonlyMap<string, JwsSigner>;
  /** The active key's signer. */
  readonly signer: JwsSigner | undefined;
  /** What is wrong with the private halves, the active key's first. */
  readonly problems: readonly Failure[];
}

export const EMPTY_VIEW: KeyView = {
  readAt: 0,
  keys: new Map(),
  signers: new Map(),
  signer: undefined,
  problems: [],
};

const RANK: Readonly<Record<KeyState, number>> = {
  active: 0,
  pending: 1,
  retiring: 2,
  retired: 3,
  compromised: 3,
};

/** The key rows as they were read, with the signers and the problems of the view before: no key store is asked. */
export function knownView(records: readonly SigningKeyRecord[], former: KeyView, readAt: number): KeyView {
  const sorted = records.toSorted((a, b) => RANK[a.state] - RANK[b.state] || b.created_at - a.created_at);
  const keys = new Map(sorted.map((record) => [record.kid, ringKey(record, former.keys.get(record.kid))]));
  const signers = new Map(
    sorted.filter(mustSign).flatMap(({ kid }) => {
      const signer = former.signers.get(kid);
      return signer === undefined ? [] : [[kid, signer]];
    }),
  );
  return { readAt, keys, signers, signer: signerOf(keys, signers), problems: former.problems };
}

/** The same view with the private halves that it lacks. Missing ones become problems, and no others are left. */
export async function withSigners(view: KeyView, keyStores: KeyStores): Promise<KeyView> {
  const { readAt, keys } = view;
  const signers = new Map(view.signers);
  const records = [...keys.values()].map(({ record }) => record);
  const problems = records.some(({ state }) => state === 'active') ? [] : [nothingSigns(records)];
  for (const record of records.filter((each) => mustSign(each) && !signers.has(each.kid))) {
    try {
      signers.set(record.kid, await makeSigner(record, keyStores));
    } catch (error) {
      problems.push(asFailure(error));
    }
  }
  return { readAt, keys, signers, signer: signerOf(keys, signers), problems };
}

function mustSign({ state }: SigningKeyRecord): boolean {
  return state === 'active' || state === 'pending';
}

function signerOf(keys: KeyView['keys'], signers: ReadonlyMap<string, JwsSigner>): JwsSigner | undefined {
  for (const [kid, { record }] of keys) if (record.state === 'active') return signers.get(kid);
  return undefined;
}

async function makeSigner(record: SigningKeyRecord, keyStores: KeyStores): Promise<JwsSigner> {
  const keyStore = await keyStores.named(record.key_store);
  if (keyStore !== undefined) return keyStore.signer(record);
  throw new Failure(
    'configuration',
    `The private half of the ${record.state} signing key ${record.kid} is kept in the key store ` +
      `"${record.key_store}", but the settings name "${keyStores.home.name}".`,
    { hint: `Set signing.key_store back to "${record.key_store}".` },
  );
}

function ringKey(record: SigningKeyRecord, former: RingKey | undefined): RingKey {
  if (former !== undefined) return { ...former, record };
  try {
    const publicKey = createPublicKey({ key: JSON.parse(record.public_jwk_json), format: 'jwk' });
    return { record, publicKey, jwk: publicJwk(record.kid, record.algorithm, publicKey) };
  } catch (cause) {
    throw new Failure(
      'configuration',
      `The database row of the signing key ${record.kid} holds no public key.`,
      {
        hint: 'The row has been damaged; restore the database from a backup.',
        cause,
      },
    );
  }
}

/** The problem that may pass by itself: a key store that does not answer has lost nothing. */
export function passingProblem(problems: readonly Failure[]): Failure | undefined {
  return problems.find(({ code }) => code !== 'configuration');
}

/** Failures: as the key store's, where it does not answer: it may sign again at any moment, or for another server now. */
export function refuseUnanswered({ problems }: KeyView): void {
  const passing = passingProblem(problems);
  if (passing === undefined) return;
  const { code, message, hint = '', detail } = passing;
  throw new Failure(code, message, {
    hint: `${hint} Where it is gone for good, leave it out of the settings, then run the command again.`.trim(),
    ...(detail !== undefined && { detail }),
  });
}

function nothingSigns(records: readonly SigningKeyRecord[]): Failure {
  const signed = records.filter(({ activated_at }) => activated_at !== null);
  const [last] = signed.toSorted((a, b) => Number(b.activated_at) - Number(a.activated_at));
  if (last?.state === 'compromised') {
    return new Failure(
      'configuration',
      `No signing key is active: ${last.kid}, which signed last, was dropped as compromised.`,
      { hint: 'A backup from before that has been restored; no key is made in place of the dropped one.' },
    );
  }
  return new Failure('configuration', 'None of the signing keys in the database is active.', {
    hint: 'The rows of the signing keys have been changed from outside; restore the database from a backup. No key is made.',
  });
}
