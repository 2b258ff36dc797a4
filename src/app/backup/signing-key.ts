/** The key that signs backups: a file of the state directory, made when it is first needed. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Signer } from '../../archive/signature.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';

/** Its name in the state directory, and in archives. */
export const SIGNING_KEY_FILE = 'backup-signing.pem';

export interface SigningKey extends Signer {
  /** PKCS #8. */
  readonly pem: string;
}

/** Failures: `configuration` when the file cannot be made, or holds something else. */
export function openSigningKey(stateDir: string, random: Random): SigningKey {
  return readSigningKey(stateDir) ?? makeSigningKey(stateDir, random);
}

/** The key of this state directory; undefined where none was made yet. Failures: `configuration`. */
export function readSigningKey(stateDir: string): SigningKey | undefined {
  const file = path.join(stateDir, SIGNING_KEY_FILE);
  try {
    return signingKeyOf(readFileSync(file, 'utf8'));
  } catch (cause) {
    const code = cause instanceof Error && 'syscall' in cause && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code !== undefined) {
      throw new Failure('configuration', `${file} cannot be read (${code}).`, {
        hint: 'It belongs to the user of the server: see its mode and its owner.',
        cause,
      });
    }
    throw new Failure('configuration', `${file} does not hold the key that signs backups.`, {
      hint: 'Put it back from a backup, or move it away: another one is made then, and the backups so far stay believed.',
      cause,
    });
  }
}

/** @param pem PKCS #8 of an Ed25519 key */
export function signingKeyOf(pem: string): SigningKey {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('the key is not an Ed25519 key');
  return { pem, publicKey: publicHalf(key), sign: async (bytes) => sign(null, bytes, key) };
}

function publicHalf(key: KeyObject): string {
  return String(createPublicKey(key).export({ format: 'jwk' }).x);
}

/** The file appears whole or not at all, and of several that are made at once the first one stays. */
function makeSigningKey(stateDir: string, random: Random): SigningKey {
  const file = path.join(stateDir, SIGNING_KEY_FILE);
  const temporary = `${file}.${random.bytes(6).toString('hex')}.tmp`;
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    writeThrough(temporary, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    try {
      linkSync(temporary, file);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    } finally {
      unlinkSync(temporary);
    }
    flushFolder(stateDir);
    return signingKeyOf(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new Failure('configuration', `The key that signs backups cannot be kept in ${stateDir}.`, {
      detail: cause instanceof Error ? cause.message : String(cause),
      hint: 'Choose a state directory that this user may write to, on a local disk (AUTHSERVER_STATE_DIR).',
      cause,
    });
  }
}

function writeThrough(file: string, text: string): void {
  const handle = openSync(file, 'wx', 0o600);
  try {
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function flushFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
