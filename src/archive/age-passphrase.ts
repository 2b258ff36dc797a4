/**
 * Passphrases of the age format (its specification, "The scrypt recipient type"), over the scrypt of node:crypto: it
 * runs beside the event loop, where the one of the age package would hold it for more than a second.
 */
import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import type { Identity, Recipient } from 'age-encryption';
import type { Random } from '../kernel/random.ts';

const LABEL = 'age-encryption.org/v1/scrypt';
const SALT = 16;
const TAG = 16;
const FILE_KEY = 16;
/** The wrapping key is used once: the salt is fresh. */
const ZERO_NONCE = Buffer.alloc(12);
const BLOCK_SIZE = 8;
/** About a second on a present machine; what `age -p` takes, too. */
const WORK = 18;
/** What a stanza may ask of the reader: 2^22 times 1 KiB is 4 GiB, so stop at 1 GiB. */
const MOST_WORK = 20;

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);

/** @param work the base-2 logarithm of scrypt's N */
export function passphraseRecipient(passphrase: string, random: Random, work = WORK): Recipient {
  return {
    async wrapFileKey(fileKey) {
      const { Stanza } = await import('age-encryption');
      const salt = random.bytes(SALT);
      const cipher = createCipheriv(
        'chacha20-poly1305',
        await wrappingKey(passphrase, salt, work),
        ZERO_NONCE,
        {
          authTagLength: TAG,
        },
      );
      const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      return [new Stanza(['scrypt', toBase64(salt), String(work)], body)];
    },
  };
}

export function passphraseIdentity(passphrase: string): Identity {
  return {
    async unwrapFileKey(stanzas) {
      const [stanza, ...others] = stanzas;
      if (stanza?.args[0] !== 'scrypt') return null;
      if (others.length > 0) throw new Error('a passphrase is not the only recipient');
      const [, salt = '', work = '', ...more] = stanza.args;
      const isOurs = /^[1-9][0-9]?$/.test(work) && more.length === 0 && stanza.body.length === FILE_KEY + TAG;
      if (!isOurs || fromBase64(salt).length !== SALT) throw new Error('an odd scrypt stanza');
      if (Number(work) > MOST_WORK) throw new Error(`scrypt is asked for 2^${work} rounds`);
      return unwrap(await wrappingKey(passphrase, fromBase64(salt), Number(work)), stanza.body);
    },
  };
}

function unwrap(key: Buffer, body: Uint8Array): Buffer | null {
  const decipher = createDecipheriv('chacha20-poly1305', key, ZERO_NONCE, { authTagLength: TAG });
  decipher.setAuthTag(body.subarray(FILE_KEY));
  const fileKey = decipher.update(body.subarray(0, FILE_KEY));
  try {
    decipher.final();
    return fileKey;
  } catch {
    return null;
  }
}

function wrappingKey(passphrase: string, salt: Buffer, work: number): Promise<Buffer> {
  const N = 2 ** work;
  const options = { N, r: BLOCK_SIZE, p: 1, maxmem: 2 * 128 * N * BLOCK_SIZE };
  return derive(passphrase, Buffer.concat([Buffer.from(LABEL), salt]), 32, options);
}

/** RFC 4648 section 4 without padding, as everywhere in an age header. */
function toBase64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

function fromBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  return toBase64(bytes) === text ? bytes : Buffer.alloc(0);
}
