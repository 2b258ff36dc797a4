import { Failure } from '../kernel/errors.ts';
import type { SigningKeyRecord } from '../store/records.ts';
import { thumbprint } from './jwk.ts';
import { JwsSigner, localSignature } from './jws.ts';
import { readKeyPair } from './key-pair.ts';

/** Where the private halves of signing keys are kept. Public halves and states are in the database. */
export interface KeyStore {
  /** As the database names it with each key that is kept here. */
  readonly name: string;
  /** Where an operator finds (or should put) the private half of a key. */
  locate(kid: string): string;
  /** Keeps a private half, PKCS #8 PEM; when the promise resolves, it survives a crash. */
  save(kid: string, pem: string): Promise<void>;
  /** The private half, or undefined when there is none. Failures: `configuration` when it is there and cannot be read. */
  load(kid: string): Promise<string | undefined>;
  /** Ids of all private halves kept here. */
  list(): Promise<string[]>;
  /** Removes a private half; nothing happens when there is none. */
  remove(kid: string): Promise<void>;
}

/**
 * A signer for a key of the database.
 * Failures: `configuration` when its private half is missing, unreadable or another key's; named, with the next step.
 */
export async function loadSigner(record: SigningKeyRecord, keyStore: KeyStore): Promise<JwsSigner> {
  const { kid, algorithm } = record;
  if (record.key_store !== keyStore.name) throw elsewhere(record, keyStore);
  const place = keyStore.locate(kid);
  const pem = await keyStore.load(kid);
  if (pem === undefined) throw unusable(record, `is missing: there is no ${place}`, place);
  if (pem.trim() === '') throw unusable(record, `is empty: ${place} holds nothing`, place);
  const pair = readKeyPair(pem);
  if (pair === undefined)
    throw unusable(record, `cannot be read: ${place} holds no private key in PEM`, place);
  if (
    pair.algorithm !== algorithm ||
    thumbprint(pair.jwk) !== thumbprint(JSON.parse(record.public_jwk_json))
  ) {
    throw unusable(record, `is not the one in ${place}: that file holds key ${pair.kid}`, place);
  }
  return new JwsSigner(kid, algorithm, localSignature(algorithm, pair.privateKey));
}

function unusable(record: SigningKeyRecord, what: string, place: string): Failure {
  return new Failure(
    'configuration',
    `The private half of the ${record.state} signing key ${record.kid} ${what}.`,
    {
      hint:
        `Put ${place} back from a backup of the state directory, readable by this server's user alone (mode 0600), ` +
        'and start again. No other key is made in its place. Tokens that this key has signed still verify.',
    },
  );
}

function elsewhere(record: SigningKeyRecord, keyStore: KeyStore): Failure {
  const sentence =
    `The private half of the ${record.state} signing key ${record.kid} is kept in the key store ` +
    `"${record.key_store}", but the settings name "${keyStore.name}".`;
  return new Failure('configuration', sentence, {
    hint: `Set signing.key_store back to "${record.key_store}".`,
  });
}
