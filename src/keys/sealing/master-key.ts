/**
 * The master key: it wraps data keys and nothing else, and is kept outside the database. Here is the one that is a secret of
 * the settings (`aes_master`); vault/master-key.ts has the one that never leaves Vault.
 */
import { hkdfSync } from 'node:crypto';
import { Failure } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import { decrypt, encrypt } from './sealing.ts';

export interface MasterKey {
  /** Tells master keys apart, and nothing of the key; kept with every data key that this one wraps. */
  readonly id: string;
  /** The setting that it comes from, for messages. */
  readonly source: string;
  /** It has versions of its own under the one id, so that wrapping again is worth while. */
  readonly versioned: boolean;
  /** The key itself, 32 bytes, where it is in this process. */
  readonly secret: Buffer | undefined;
  wrap(dataKey: Buffer, id: string): Promise<string>;
  /** undefined when this key did not wrap it, or it has been changed. Failures: `unavailable`. */
  unwrap(wrapped: string, id: string): Promise<Buffer | undefined>;
}

/** The master keys of the settings. */
export interface MasterKeys {
  /** The one that wraps from now on. */
  readonly current: MasterKey;
  /** All of them; those but the current one only unwrap. */
  readonly all: readonly MasterKey[];
}

export function masterKeys(current: MasterKey, old: readonly MasterKey[]): MasterKeys {
  return { current, all: [current, ...old.filter(({ id }) => id !== current.id)] };
}

const LENGTH = 32;

/** @param text 64 hexadecimal digits, or 32 bytes in base64 or base64url. Failures: `configuration`, without the text. */
export function aesMasterKey(text: string, source: string, random: Random): MasterKey {
  return aesMasterKeyOf(readSecret(text.trim(), source), source, random);
}

function aesMasterKeyOf(secret: Buffer, source: string, random: Random): MasterKey {
  const wrapping = derive(secret, 'authserver data key wrapping', LENGTH);
  const id = masterKeyId(secret);
  const contextOf = (keyId: string) => JSON.stringify(['data key', keyId, id]);
  return {
    id,
    source,
    versioned: false,
    secret,
    wrap: async (dataKey, keyId) => encrypt(wrapping, dataKey, contextOf(keyId), random),
    unwrap: async (wrapped, keyId) => decrypt(wrapping, wrapped, contextOf(keyId)),
  };
}

/** `aes_` and 128 bits derived from the key one way (RFC 5869), so that it can be shown and kept. */
export function masterKeyId(secret: Buffer): string {
  return `aes_${derive(secret, 'authserver master key id', 16).toString('hex')}`;
}

function derive(secret: Buffer, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, length));
}

function readSecret(text: string, source: string): Buffer {
  const hex = /^[0-9a-fA-F]{64}$/.test(text);
  const base64 = /^[A-Za-z0-9+/_-]{43}=?$/.test(text);
  const secret = hex ? Buffer.from(text, 'hex') : Buffer.from(base64 ? text : '', 'base64');
  const hint =
    'Make one with `openssl rand -hex 32`, and keep a copy of it where no backup of this server is.';
  if (secret.length !== LENGTH) {
    const sentence = `${source} holds no master key: it must be 64 hexadecimal digits, or 32 bytes in base64.`;
    throw new Failure('configuration', sentence, { hint });
  }
  // Chance makes 32 bytes with fewer than 16 different ones about never; a key that was typed has them.
  if (new Set(secret).size < 16) {
    throw new Failure('configuration', `${source} holds a master key that is easy to guess.`, { hint });
  }
  return secret;
}
