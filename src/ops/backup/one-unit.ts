/**
 * Rows and keys are one unit: whatever key a row of the snapshot needs goes into the same archive. Keys come and go meanwhile,
 * so they are read before the snapshot, when its moment has been fixed, and after its last row: a file that a row of the
 * snapshot needs was there at one of these times, unless it came and went within milliseconds.
 */
import { createPrivateKey, hash } from 'node:crypto';
import type { ArchiveTail } from '../../archive/writer.ts';
import { Failure } from '../../kernel/errors.ts';
import { readKeyPair } from '../../keys/key-pair.ts';
import type { KeyRows } from './pack.ts';

/** The private half of a signing key. */
export interface KeyText {
  readonly kid: string;
  /** PKCS #8. */
  readonly pem: string;
}

export type ArchivedKeys = Pick<ArchiveTail, 'privateKeys' | 'publicKeys' | 'neededKeys'>;

/** Thrown when a key is not there: another snapshot may not need it. */
export class KeyMissing extends Failure {
  constructor(kid: string, state: string) {
    super(
      'failed',
      `No backup was made: the private half of the ${state} signing key ${kid} is not in the key store keyfile.`,
      {
        hint: `A backup without it could not sign. \`authserver keys verify\` says what to do; put ${kid}.pem back, or retire the key.`,
      },
    );
  }
}

/** Which keys go into the archive of these rows. @throws KeyMissing */
export function keysOf(rows: KeyRows, read: readonly (readonly KeyText[])[]): ArchivedKeys {
  const texts = new Map(read.flat().flatMap(({ kid, pem }) => (isKey(kid, pem) ? [[kid, pem]] : [])));
  const inFiles = rows.signingKeys.filter(({ key_store }) => key_store === 'keyfile');
  for (const { kid, state } of inFiles) {
    if (signs(state) && !texts.has(kid)) throw new KeyMissing(kid, state);
  }
  const kept = inFiles.flatMap(({ kid }) => {
    const pem = texts.get(kid);
    return pem === undefined ? [] : [{ name: `${kid}.pem`, text: pem }];
  });
  return {
    privateKeys: kept,
    publicKeys: rows.signingKeys.map(({ kid, public_jwk_json }) => ({
      kid,
      jwk: JSON.parse(public_jwk_json) as Record<string, unknown>,
      fingerprint: fingerprintOf(texts.get(kid)),
    })),
    neededKeys: neededBy(rows),
  };
}

/** The signing keys that sign or are about to, and the master keys that the data keys of sealed rows are wrapped by. */
function neededBy({ signingKeys, dataKeys }: KeyRows): readonly string[] {
  const signing = signingKeys.filter(({ state }) => signs(state)).map(({ kid }) => kid);
  const masters = dataKeys.map(({ master_key_id }) => master_key_id);
  return [...new Set([...signing, ...masters])].sort();
}

function signs(state: string): boolean {
  return state === 'active' || state === 'pending';
}

/** A file that is half written, empty or another key's is as good as none. */
function isKey(kid: string, pem: string): boolean {
  return readKeyPair(pem)?.kid === kid;
}

/** SHA-256 of the private half (PKCS #8, DER), hexadecimal; `none` where it is not in the archive. */
function fingerprintOf(pem: string | undefined): string {
  if (pem === undefined) return 'none';
  return hash('sha256', createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' }), 'hex');
}
