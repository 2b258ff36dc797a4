/**
 * Encryption: the format age-encryption.org/v1, so that the plain `age` opens an archive. Its package wraps and unwraps
 * the file key, for recipients of every kind; the payload goes through node:crypto, which is eight times as fast and so
 * holds the event loop for a tenth of a millisecond a chunk.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { Recipient } from 'age-encryption';
import { Failure } from '../kernel/errors.ts';
import type { Random } from '../kernel/random.ts';
import { passphraseIdentity, passphraseRecipient } from './age-passphrase.ts';
import { ByteReader } from './byte-reader.ts';
import { CannotRead, damaged } from './format.ts';

/** Who can open an archive. `none` is for those who have asked for plain text in so many words. */
export type Encryption =
  | {
      readonly kind: 'age';
      readonly recipients: readonly string[];
      /** One more, whose identity is forgotten at once: nobody is told of it as one who can open the archive. */
      readonly once?: string;
    }
  | {
      readonly kind: 'passphrase';
      readonly passphrase: string;
      /** The base-2 logarithm of scrypt's work; 18 when left out, which takes about a second. */
      readonly work?: number;
    }
  | { readonly kind: 'none' };

/** What its holder can open. */
export interface Identities {
  /** age identities, `AGE-SECRET-KEY-1...`. */
  readonly identities?: readonly string[];
  readonly passphrases?: readonly string[];
}

/** What is said to whoever has not got the key: that says nothing against the archive. */
export const NO_IDENTITY = 'None of the given identities opens this archive.';

/** The first bytes of an encrypted archive. */
export const AGE_MAGIC = Buffer.from('age-encryption.org/v1\n');

const CHUNK = 64 * 1024;
const TAG = 16;
const PAYLOAD_NONCE = 16;
const LONGEST_LINE = 4096;
const LONGEST_HEADER = 256 * 1024;

/** Failures: `invalid_input` when a recipient is none, or there is none. */
export async function* encrypt(
  source: AsyncIterable<Uint8Array>,
  encryption: Exclude<Encryption, { kind: 'none' }>,
  random: Random,
): AsyncGenerator<Buffer, void> {
  const { header, fileKey } = await makeHeader(encryption, random);
  const nonce = random.bytes(PAYLOAD_NONCE);
  yield Buffer.concat([header, nonce]);
  yield* encryptPayload(source, payloadKey(fileKey, nonce));
}

/**
 * Failures: `refused` when nothing at hand opens it, or when it is damaged; `invalid_input` when an identity is none.
 */
export async function* decrypt(
  source: AsyncIterable<Uint8Array>,
  identities: Identities,
): AsyncGenerator<Buffer, void> {
  const reader = new ByteReader(source);
  try {
    const header = await readHeader(reader);
    const fileKey = await unwrapFileKey(header, identities);
    const nonce = await reader.take(PAYLOAD_NONCE);
    if (nonce.length < PAYLOAD_NONCE) throw damaged('the age header', 'it is cut');
    yield* decryptPayload(reader, payloadKey(fileKey, nonce));
  } finally {
    await reader.close();
  }
}

/** With the curves behind it, it is one in eight of all modules: loaded when something is encrypted or opened. */
function loadAge() {
  return import('age-encryption');
}

/** Failures: `invalid_input`. */
async function checkRecipients(recipients: readonly string[]): Promise<void> {
  if (recipients.length === 0) {
    throw new Failure('invalid_input', 'There is no recipient to encrypt the backup to.', {
      hint: 'Name at least one age recipient (age1...).',
    });
  }
  const { Encrypter } = await loadAge();
  for (const recipient of recipients) attempt('recipient', () => new Encrypter().addRecipient(recipient));
}

async function makeHeader(
  encryption: Exclude<Encryption, { kind: 'none' }>,
  random: Random,
): Promise<{ header: Buffer; fileKey: Uint8Array }> {
  const { Encrypter } = await loadAge();
  const encrypter = new Encrypter();
  if (encryption.kind === 'age') {
    const { recipients, once } = encryption;
    await checkRecipients(recipients);
    for (const recipient of once === undefined ? recipients : [...recipients, once])
      encrypter.addRecipient(recipient);
  } else {
    if (encryption.passphrase === '') throw new Failure('invalid_input', 'The passphrase is empty.');
    encrypter.addRecipient(passphraseRecipient(encryption.passphrase, random, encryption.work));
  }
  // A recipient that adds nothing to the header learns the file key; of the empty file only the header is used.
  let fileKey: Uint8Array = Buffer.alloc(0);
  const listener: Recipient = {
    wrapFileKey(key) {
      fileKey = key;
      return [];
    },
  };
  encrypter.addRecipient(listener);
  const empty = Buffer.from(await encrypter.encrypt(new Uint8Array(0)));
  return { header: empty.subarray(0, empty.length - PAYLOAD_NONCE - TAG), fileKey };
}

async function readHeader(reader: ByteReader): Promise<Buffer> {
  const lines: Buffer[] = [];
  for (let length = 0; length < LONGEST_HEADER; ) {
    const line = await reader.line(LONGEST_LINE);
    if (line === undefined) throw damaged('the age header', 'it is cut or is none');
    lines.push(line);
    length += line.length;
    if (line.toString('latin1', 0, 4) === '--- ') return Buffer.concat(lines);
  }
  throw damaged('the age header', 'it is too long');
}

async function unwrapFileKey(
  header: Buffer,
  { identities = [], passphrases = [] }: Identities,
): Promise<Uint8Array> {
  const { Decrypter } = await loadAge();
  const decrypter = new Decrypter();
  for (const identity of identities) attempt('identity', () => decrypter.addIdentity(identity.trim()));
  for (const passphrase of passphrases) decrypter.addIdentity(passphraseIdentity(passphrase));
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    if (!(error instanceof Error && /^no identity matched/.test(error.message))) {
      throw damaged('the age header', 'it was changed, or is none', error);
    }
    throw wrongIdentity(header.includes('\n-> scrypt '), passphrases.length > 0);
  }
}

function wrongIdentity(needsPassphrase: boolean, hasPassphrase: boolean): CannotRead {
  if (needsPassphrase && hasPassphrase) {
    return new CannotRead('The passphrase does not open this archive.', {
      hint: 'Check it for a typing error; `authserver backup list` shows which archives have a passphrase.',
    });
  }
  if (needsPassphrase) {
    return new CannotRead('The archive is encrypted with a passphrase, and none was given.', {
      hint: 'Give the passphrase that the backup was made with.',
    });
  }
  return new CannotRead(NO_IDENTITY, {
    hint: 'It needs the identity (AGE-SECRET-KEY-1...) of one of its recipients; `authserver backup list` names them.',
  });
}

/** @param role what the text was meant to be; the text itself may be a secret and is not shown */
function attempt(role: 'recipient' | 'identity', work: () => void): void {
  try {
    work();
  } catch (cause) {
    const hint =
      role === 'recipient' ? 'A recipient begins with age1.' : 'An identity begins with AGE-SECRET-KEY-1.';
    throw new Failure('invalid_input', `A given age ${role} is none.`, { hint, cause });
  }
}

/** The STREAM construction of the age specification, "Payload". */
async function* encryptPayload(source: AsyncIterable<Uint8Array>, key: Buffer): AsyncGenerator<Buffer, void> {
  const reader = new ByteReader(source);
  try {
    let chunk = await reader.take(CHUNK);
    for (let index = 0; ; index++) {
      const next = await reader.take(CHUNK);
      const isLast = next.length === 0;
      const cipher = createCipheriv('chacha20-poly1305', key, chunkNonce(index, isLast), {
        authTagLength: TAG,
      });
      yield Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()]);
      if (isLast) return;
      chunk = next;
    }
  } finally {
    await reader.close();
  }
}

async function* decryptPayload(reader: ByteReader, key: Buffer): AsyncGenerator<Buffer, void> {
  const start = reader.position;
  let chunk = await reader.take(CHUNK + TAG);
  for (let index = 0; ; index++) {
    const next = await reader.take(CHUNK + TAG);
    const isLast = next.length === 0;
    const place = `byte ${start + index * (CHUNK + TAG)} of the age file (chunk ${index + 1})`;
    const plain = openChunk(chunk, key, chunkNonce(index, isLast));
    if (plain === undefined)
      throw damaged(place, isLast ? 'it was changed, or the file is cut' : 'it was changed');
    if (plain.length === 0 && index > 0) throw damaged(place, 'its last chunk is empty');
    yield plain;
    if (isLast) return;
    chunk = next;
  }
}

function openChunk(sealed: Buffer, key: Buffer, nonce: Buffer): Buffer | undefined {
  if (sealed.length < TAG) return undefined;
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG });
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}

/** Eleven bytes that count the chunks, one that marks the last. */
function chunkNonce(index: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 5, 6);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}

function payloadKey(fileKey: Uint8Array, nonce: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}
