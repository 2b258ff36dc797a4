import { createPublicKey, type KeyObject } from 'node:crypto';
import { asFailure, Failure } from '../kernel/errors.ts';
import type { KeyState, SigningKeyRecord } from '../store/records.ts';
import { type PublicJwk, publicJwk } from './jwk.ts';
import type { JwsSigner } from './jws.ts';
import type { KeyStores } from './key-store.ts';

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

/** Reads the key rows anew; private halves that `former` has are not loaded again. Missing ones become problems. */
export async function makeView(
  records: readonly SigningKeyRecord[],
  keyStores: KeyStores,
  former: KeyView,
  readAt: number,
): Promise<KeyView> {
  const sorted = records.toSorted((a, b) => RANK[a.state] - RANK[b.state] || b.created_at - a.created_at);
  const keys = new Map(sorted.map((record) => [record.kid, ringKey(record, former.keys.get(record.kid))]));

  const signers = new Map<string, JwsSigner>();
  const problems: Failure[] = [];
  const active = sorted.find((record) => record.state === 'active');
  if (active === undefined) problems.push(nothingSigns());
  for (const record of sorted.filter(({ state }) => state === 'active' || state === 'pending')) {
    try {
      signers.set(record.kid, former.signers.get(record.kid) ?? (await makeSigner(record, keyStores)));
    } catch (error) {
      problems.push(asFailure(error));
    }
  }
  return { readAt, keys, signers, signer: active && signers.get(active.kid), problems };
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

function nothingSigns(): Failure {
  return new Failure('configuration', 'None of the signing keys in the database is active.', {
    hint: 'The rows of the signing keys have been changed from outside; restore the database from a backup. No key is made.',
  });
}
