/** Archives for tests: small ones whose content is known, and the means to take them apart. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { systemRandom } from '../kernel/random.ts';
import type { Encryption } from './age.ts';
import { LIMITS } from './format.ts';
import type { Signer } from './signature.ts';
import { packEnd, packEntry, type TarEntry, unpack } from './tar.ts';
import {
  type ArchiveHead,
  type ArchiveParts,
  type ArchiveTail,
  type RowPart,
  writeArchive,
} from './writer.ts';
import { compress, decompress } from './zstd.ts';

export const MADE_AT = Date.UTC(2026, 10, 22, 0, 4, 39, 250);

export function makeSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    publicKey: String(publicKey.export({ format: 'jwk' }).x),
    sign: async (bytes) => sign(null, bytes, privateKey),
  };
}

/** Tables as chunks of lines, in order. */
export type Tables = Readonly<Record<string, readonly (readonly string[])[]>>;

export const TABLES: Tables = {
  users: [['{"id":"a","name":"Ada"}', '{"id":"b","name":"Zoë \\"🦉\\""}'], ['{"id":"c","name":null}']],
  empty: [],
  tokens: [['{"id":"t1","user":"a"}']],
};

export const HEAD: ArchiveHead = {
  id: '00000042-20261122T000439Z-k3f9',
  sequence: 42,
  deploymentId: 'dep_1',
  restoreEpoch: 3,
  program: '0.1.0',
  madeAt: MADE_AT,
  schema: [{ version: 1, name: 'foundation', checksum: 'abc' }],
  tables: Object.keys(TABLES).map((name) => ({ name, columns: ['id'], key: ['id'] })),
  recoveryPoint: { from: MADE_AT, to: MADE_AT + 5, audit: { sequence: 7, hash: 'h' } },
  tags: ['nightly'],
};

export const TAIL: ArchiveTail = {
  privateKeys: [
    { name: 'kid2.pem', text: 'second private key\n' },
    { name: 'kid1.pem', text: 'first private key\n' },
  ],
  publicKeys: [{ kid: 'kid1', jwk: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }, fingerprint: 'f1' }],
  neededKeys: ['data-key-1'],
  config: '{"issuer":"https://id.example"}\n',
};

export function* partsOf(tables: Tables): Generator<RowPart> {
  for (const [table, chunks] of Object.entries(tables)) {
    const digest = createHash('sha256');
    for (const lines of chunks) {
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
      digest.update(bytes);
      yield { kind: 'rows', table, rows: lines.length, bytes };
    }
    yield { kind: 'total', table, rows: chunks.flat().length, digest: digest.digest('hex') };
  }
}

export const PLAIN: Encryption = { kind: 'none' };

export function archiveParts(signer: Signer, changes: Partial<ArchiveParts> = {}): ArchiveParts {
  return {
    head: HEAD,
    parts: partsOf(TABLES),
    tail: () => TAIL,
    encryption: PLAIN,
    signer,
    random: systemRandom,
    ...changes,
  };
}

export async function makeArchive(signer: Signer, changes: Partial<ArchiveParts> = {}): Promise<Buffer> {
  return collect(writeArchive(archiveParts(signer, changes)));
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await gather(source));
}

export async function gather<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** The bytes in pieces of a length that fits no block. */
export async function* inPieces(bytes: Buffer, length = 777): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** The entries of a plain archive. */
export function takeApart(archive: Buffer): Promise<TarEntry[]> {
  return gather(unpack(decompress(inPieces(archive), LIMITS), LIMITS));
}

/** A plain archive of these entries, whatever they are. */
export function putTogether(entries: readonly TarEntry[], end = packEnd()): Promise<Buffer> {
  const tar = [...entries.flatMap((entry) => [...packEntry(entry)]), end];
  return collect(compress(inPieces(Buffer.concat(tar))));
}
