/**
 * How a text is sealed in the database: AES-256-GCM under a data key, as `v1.<data key id>.<nonce>.<ciphertext and tag>`.
 * The additional data bind it to its table, column and row, so that a ciphertext that was moved elsewhere does not open.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { fromBase64url } from '../../kernel/bytes.ts';
import type { Random } from '../../kernel/random.ts';

/** A key that seals rows, as it is in memory. */
export interface DataKey {
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Buffer;
}

/** Where in the database a sealed text is kept. */
export interface Place {
  readonly table: string;
  readonly column: string;
  readonly id: string;
}

const VERSION = 'v1';
/** NIST SP 800-38D section 8.2.2: 96 random bits. A data key seals far fewer texts than the 2^32 that this is good for. */
const NONCE = 12;
const TAG = 16;
const KEY = 32;

export function seal(key: DataKey, place: Place, text: string, random: Random): string {
  const context = contextOf(key.id, place);
  const sealed = encrypt(key.secret, Buffer.from(text), context, random);
  return `${VERSION}.${key.id}.${sealed}`;
}

/** The data key that a sealed text names; undefined when it is no sealed text of a version that we know. */
export function dataKeyOf(sealed: string): string | undefined {
  const [version, id, nonce, body, ...more] = sealed.split('.');
  return version === VERSION && id && nonce && body && more.length === 0 ? id : undefined;
}

/** The text; undefined when it was not sealed under this key, for this place, or has been changed. */
export function unseal(key: DataKey, place: Place, sealed: string): string | undefined {
  if (dataKeyOf(sealed) !== key.id) return undefined;
  const [, , ...parts] = sealed.split('.');
  return decrypt(key.secret, parts.join('.'), contextOf(key.id, place))?.toString();
}

/** `<nonce>.<ciphertext and tag>`, base64url. */
export function encrypt(secret: Buffer, plain: Buffer, context: string, random: Random): string {
  const nonce = random.bytes(NONCE);
  const cipher = createCipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG });
  cipher.setAAD(Buffer.from(context));
  const body = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return `${nonce.toString('base64url')}.${body.toString('base64url')}`;
}

/** What `encrypt` was given; undefined when the key, the context or a bit of the text is another. */
export function decrypt(secret: Buffer, text: string, context: string): Buffer | undefined {
  const [nonce, body, ...more] = text.split('.').map(fromBase64url);
  if (nonce?.length !== NONCE || body === undefined || body.length < TAG || more.length > 0) return undefined;
  if (secret.length !== KEY) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(body.subarray(body.length - TAG));
  try {
    return Buffer.concat([decipher.update(body.subarray(0, body.length - TAG)), decipher.final()]);
  } catch {
    return undefined;
  }
}

/** JSON, so that no two places can be written the same way. */
function contextOf(keyId: string, { table, column, id }: Place): string {
  return JSON.stringify([VERSION, keyId, table, column, id]);
}
