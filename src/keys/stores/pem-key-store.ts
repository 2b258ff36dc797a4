import { Failure } from '../../kernel/errors.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import { thumbprint } from '../jwk.ts';
import { JwsSigner, localSignature } from '../jws.ts';
import { type KeyPair, makeKeyPair, readKeyPair, writePem } from '../key-pair.ts';
import type { KeyStore, PemStore } from './key-store.ts';

/** A key store whose keys are made, and sign, in this process. */
export function pemKeyStore(pems: PemStore): KeyStore {
  return {
    name: pems.name,
    locate: (kid) => pems.locate(kid),
    list: () => pems.list(),
    async remove(kid) {
      await pems.remove(kid);
      return 'removed';
    },
    exposure: async (kid) => pems.exposure?.(kid),
    async create(algorithm) {
      const pair = await makeKeyPair(algorithm);
      await pems.save(pair.kid, writePem(pair));
      return pair;
    },
    async inspect(kid) {
      const pem = await pems.load(kid);
      if (pem === undefined) return undefined;
      const pair = readKeyPair(pem);
      if (pair?.kid === kid) return pair;
      throw new Failure('configuration', `${pems.locate(kid)} does not hold the key that its name says.`, {
        hint: 'Put the right one back from a backup, or move this one away if it never belonged here, and start again.',
      });
    },
    async signer(record) {
      const { kid, algorithm, privateKey } = await loadPair(record, pems);
      return new JwsSigner(kid, algorithm, localSignature(algorithm, privateKey));
    },
    pems,
  };
}

/**
 * Both halves of a key of the database.
 * Failures: `configuration` when its private half is missing, unreadable or another key's; named, with the next step.
 */
async function loadPair(record: SigningKeyRecord, pems: PemStore): Promise<KeyPair> {
  const { kid, algorithm } = record;
  const place = pems.locate(kid);
  const unusable = (what: string) => unusablePrivateHalf(record, what, pems.remedy(kid));
  const pem = await pems.load(kid);
  if (pem === undefined) throw unusable(`is missing: there is no ${place}`);
  if (pem.trim() === '') throw unusable(`is empty: ${place} holds nothing`);
  const pair = readKeyPair(pem);
  if (pair === undefined)
    throw unusable(`cannot be read: ${place} holds no private key in PEM, or a damaged one`);
  const known = thumbprint(JSON.parse(record.public_jwk_json));
  if (pair.algorithm !== algorithm || thumbprint(pair.jwk) !== known) {
    throw unusable(`is not the one in ${place}, which holds key ${pair.kid}`);
  }
  return pair;
}

/** The failure of a key store that cannot sign for a key of the database. */
export function unusablePrivateHalf(record: SigningKeyRecord, what: string, remedy: string): Failure {
  return new Failure(
    'configuration',
    `The private half of the ${record.state} signing key ${record.kid} ${what}.`,
    { hint: `${remedy} No other key is made in its place. Tokens that this key has signed still verify.` },
  );
}
