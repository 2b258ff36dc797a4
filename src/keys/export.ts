import { Failure } from '../kernel/errors.ts';
import { type KeyDesk, knownKey, storeOf } from './desk.ts';
import { pemsOf } from './import.ts';
import { readKeyPair } from './key-pair.ts';

export interface ExportedKey {
  readonly kid: string;
  readonly algorithm: string;
  /** The private half: PKCS #8, PEM, not encrypted. */
  readonly pem: string;
}

/**
 * The private half of a key, for a copy that is kept elsewhere.
 * Failures: `not_found`, also where the private half is not here; `refused` by a key store that never shows keys.
 */
export async function exportKey(desk: KeyDesk, kid: string): Promise<ExportedKey> {
  await desk.refresh();
  const { record } = knownKey(desk, kid);
  const pem = await pemsOf(await storeOf(desk, record), record.key_store).load(kid);
  if (pem === undefined || readKeyPair(pem)?.kid !== kid) {
    throw new Failure(
      'not_found',
      `The private half of the ${record.state} signing key ${kid} is not here.`,
      {
        hint: 'See what is: authserver keys verify',
      },
    );
  }
  return { kid, algorithm: record.algorithm, pem };
}
