/**
 * Writes an archive as a stream: nothing is held but the chunk in hand and the digests of those before it, and nothing is
 * asked of the sources before whoever reads the archive wants more. Meant for a worker thread, next to the snapshot.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import type { Random } from '../kernel/random.ts';
import { type Encryption, encrypt } from './age.ts';
import {
  CONFIG_ENTRY,
  chunkEntry,
  FORMAT,
  FORMAT_ENTRY,
  keyEntry,
  LIMITS,
  MANIFEST_ENTRY,
  SIGNATURE_ENTRY,
} from './format.ts';
import { countLines } from './lines.ts';
import type {
  ArchivedKey,
  FormatRecord,
  Manifest,
  RecoveryPoint,
  SchemaStep,
  TableShape,
} from './manifest.ts';
import { type Signer, signatureOf, toLine } from './signature.ts';
import { packEnd, packEntry } from './tar.ts';
import { untilAborted } from './until-aborted.ts';
import { compress } from './zstd.ts';

/** Some rows of a table: whole lines of NDJSON in canonical form (docs/backup-format.md), about 1 MiB of them. */
export interface RowLines {
  readonly kind: 'rows';
  readonly table: string;
  readonly rows: number;
  readonly bytes: Uint8Array;
}

/** The end of a table: all its rows, and the SHA-256 of all its lines, hexadecimal. */
export interface TableTotal {
  readonly kind: 'total';
  readonly table: string;
  readonly rows: number;
  readonly digest: string;
}

/** A table is some or no `rows` and then its `total`; then the next one follows. */
export type RowPart = RowLines | TableTotal;

/** What is known before the first row. */
export interface ArchiveHead {
  readonly id: string;
  readonly sequence: number;
  readonly deploymentId: string;
  readonly restoreEpoch: number;
  readonly program: string;
  /** ms */
  readonly madeAt: number;
  readonly schema: readonly SchemaStep[];
  /** In the order in which `parts` brings them. */
  readonly tables: readonly TableShape[];
  readonly recoveryPoint: RecoveryPoint;
  readonly tags: readonly string[];
}

/** What goes in after the rows, and may have been found in them. */
export interface ArchiveTail {
  /** Private keys of a file store: what each is called, and its text. */
  readonly privateKeys: readonly { readonly name: string; readonly text: string }[];
  readonly publicKeys: readonly ArchivedKey[];
  /** Ids of keys that rows need. */
  readonly neededKeys: readonly string[];
  /** JSON; secrets have been replaced by fingerprints. */
  readonly config: string;
}

export interface Progress {
  readonly rows: number;
  /** Of the tar. */
  readonly bytes: number;
}

export interface ArchiveParts {
  readonly head: ArchiveHead;
  readonly parts: AsyncIterable<RowPart> | Iterable<RowPart>;
  /** Asked for when all rows have been read. */
  readonly tail: () => ArchiveTail | Promise<ArchiveTail>;
  readonly encryption: Encryption;
  readonly signer: Signer;
  readonly random: Random;
  readonly progress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** What has been written, once it has. */
export interface Written {
  readonly manifest: Manifest;
  /** Of manifest.json. */
  readonly manifestSha256: string;
  readonly rows: number;
  /** Of the tar. */
  readonly bytes: number;
}

export interface ArchiveStream extends AsyncIterable<Buffer> {
  /** Only after the stream has been read to its end. */
  written(): Written;
}

/**
 * The archive, to be read once. What a source throws comes out of the stream, as do Failures `interrupted` (the signal)
 * and `invalid_input` (recipients, names); whoever has begun to store it then has to throw it away.
 */
export function writeArchive(parts: ArchiveParts): ArchiveStream {
  const content = new Content(parts);
  return {
    [Symbol.asyncIterator]: () => stream(content, parts),
    written: () => content.written(),
  };
}

async function* stream(content: Content, parts: ArchiveParts): AsyncGenerator<Buffer, void> {
  const { encryption, random, signal } = parts;
  const compressed = compress(content.tar());
  const archive = encryption.kind === 'none' ? compressed : encrypt(compressed, encryption, random);
  yield* untilAborted(archive, signal, 'The backup');
}

/** The tar, and what is learnt about it on the way. */
class Content {
  readonly #parts: ArchiveParts;
  readonly #mtime: number;
  readonly #entries: Manifest['entries'] = [];
  readonly #tables: Manifest['tables'] = [];
  #rows = 0;
  #bytes = 0;
  #written: Written | undefined;

  constructor(parts: ArchiveParts) {
    this.#parts = parts;
    this.#mtime = Math.floor(parts.head.madeAt / 1000);
  }

  written(): Written {
    if (!this.#written) throw new TypeError('the archive has not been read to its end');
    return this.#written;
  }

  async *tar(): AsyncGenerator<Buffer, void> {
    const { tail: askTail } = this.#parts;
    yield* this.#listed(FORMAT_ENTRY, toLine(this.#formatRecord()));
    yield* this.#tableEntries();
    const tail = await askTail();
    for (const { name, text } of inOrder(tail.privateKeys))
      yield* this.#listed(keyEntry(name), Buffer.from(text));
    const config = Buffer.from(tail.config);
    yield* this.#listed(CONFIG_ENTRY, config);
    yield* this.#closing(this.#manifest(tail, sha256(config)));
  }

  async *#tableEntries(): AsyncGenerator<Buffer, void> {
    const { head, parts } = this.#parts;
    const awaited = head.tables.values();
    let table = new TableTally(awaited.next().value);
    for await (const part of parts) {
      table.check(part);
      if (part.kind === 'rows') {
        this.#rows += part.rows;
        yield* this.#listed(table.nextEntry(), table.add(part));
      } else {
        this.#tables.push(table.close(part));
        table = new TableTally(awaited.next().value);
      }
    }
    if (table.shape) throw new TypeError(`the rows of table ${table.shape.name} did not come to their end`);
  }

  async *#closing(manifest: Manifest): AsyncGenerator<Buffer, void> {
    const line = toLine(manifest);
    yield* this.#entry(MANIFEST_ENTRY, line);
    yield* this.#entry(SIGNATURE_ENTRY, await signatureOf(this.#parts.signer, line));
    yield this.#count(packEnd());
    this.#written = { manifest, manifestSha256: sha256(line), rows: this.#rows, bytes: this.#bytes };
  }

  *#listed(name: string, bytes: Buffer): Generator<Buffer> {
    this.#entries.push({ name, size: bytes.length, sha256: sha256(bytes) });
    yield* this.#entry(name, bytes);
  }

  *#entry(name: string, bytes: Buffer): Generator<Buffer> {
    if (bytes.length > LIMITS.entryBytes)
      throw new RangeError(`${name} has ${bytes.length} bytes, too many for an entry`);
    for (const piece of packEntry({ name, mtime: this.#mtime, bytes })) yield this.#count(piece);
    this.#parts.progress?.({ rows: this.#rows, bytes: this.#bytes });
  }

  #count(bytes: Buffer): Buffer {
    this.#bytes += bytes.length;
    return bytes;
  }

  #opening() {
    const { id, deploymentId, program, madeAt, schema } = this.#parts.head;
    const steps = schema.map(({ version, name, checksum }) => ({ version, name, checksum }));
    return {
      format: FORMAT,
      id,
      deployment_id: deploymentId,
      program,
      made_at: madeAt,
      schema: steps,
    } as const;
  }

  #formatRecord(): FormatRecord {
    const tables = this.#parts.head.tables.map(shapeOf);
    return { type: 'authserver.archive', ...this.#opening(), tables };
  }

  #manifest(tail: ArchiveTail, configSha256: string): Manifest {
    const { head, encryption } = this.#parts;
    return {
      type: 'authserver.archive-manifest',
      ...this.#opening(),
      restore_epoch: head.restoreEpoch,
      sequence: head.sequence,
      recovery_point: head.recoveryPoint,
      tables: this.#tables,
      entries: this.#entries,
      keys: { public: [...tail.publicKeys], needed: [...tail.neededKeys] },
      config_sha256: configSha256,
      tags: [...head.tags],
      encryption: describeEncryption(encryption),
    };
  }
}

/** What a listing shows of who can open an archive. */
function describeEncryption(encryption: Encryption): Manifest['encryption'] {
  return { kind: encryption.kind, recipients: encryption.kind === 'age' ? [...encryption.recipients] : [] };
}

/** One table while its rows come in. */
class TableTally {
  readonly shape: TableShape | undefined;
  readonly #digest: Hash = createHash('sha256');
  #chunks = 0;
  #rows = 0;

  constructor(shape: TableShape | undefined) {
    this.shape = shape;
  }

  check({ table }: RowPart): void {
    if (table === this.shape?.name) return;
    throw new TypeError(
      `rows of table ${table} came where those of ${this.shape?.name ?? 'no table'} were due`,
    );
  }

  nextEntry(): string {
    this.#chunks += 1;
    return chunkEntry(this.shape?.name ?? '', this.#chunks);
  }

  add({ table, rows, bytes }: RowLines): Buffer {
    if (rows === 0 || countLines(bytes) !== rows)
      throw new TypeError(`a chunk of table ${table} has not its ${rows} rows`);
    this.#rows += rows;
    this.#digest.update(bytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  close({ table, rows, digest }: TableTotal): Manifest['tables'][number] {
    if (!this.shape || rows !== this.#rows || digest !== this.#digest.digest('hex')) {
      throw new TypeError(`the rows of table ${table} are not those that were counted`);
    }
    return { ...shapeOf(this.shape), rows, digest };
  }
}

function shapeOf({ name, columns, key }: TableShape): TableShape {
  return { name, columns, key };
}

function inOrder<Named extends { readonly name: string }>(items: readonly Named[]): Named[] {
  const sorted = [...items].sort((a, b) => (a.name < b.name ? -1 : 1));
  const twice = sorted.find(({ name }, index) => sorted[index + 1]?.name === name);
  if (twice) throw new TypeError(`there are two keys ${twice.name}`);
  return sorted;
}

function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
