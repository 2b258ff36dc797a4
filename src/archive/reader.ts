/**
 * Reads an archive as a stream and checks it on the way. What has been handed out counts only when the stream has come to
 * its end: the manifest and its signature are the last that is read, so whoever restores stages first and then looks at
 * `manifest()`.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { Failure } from '../kernel/errors.ts';
import { AGE_MAGIC, decrypt, type Identities } from './age.ts';
import { ByteReader } from './byte-reader.ts';
import { damaged, type EntryName, FORMAT_ENTRY, LIMITS, type Limits, readEntryName } from './format.ts';
import { countLines } from './lines.ts';
import { type FormatRecord, type Manifest, readFormatRecord, readManifest } from './manifest.ts';
import { checkTrust, signerOf, type Trust } from './signature.ts';
import { type TarEntry, unpack } from './tar.ts';
import { untilAborted } from './until-aborted.ts';
import type { RowPart } from './writer.ts';
import { decompress, ZSTD_MAGIC } from './zstd.ts';

export interface ReadOptions extends Identities {
  /** Whose signature counts. */
  readonly trust: Trust;
  /** What the record beside the archive says of the file, where there is one: then every byte of it is accounted for. */
  readonly file?: { readonly size: number; readonly sha256: string };
  /** The deployment that it has to be of. */
  readonly deploymentId?: string;
  /** The backup that it has to be. */
  readonly id?: string;
  readonly limits?: Partial<Limits>;
  readonly signal?: AbortSignal;
}

/** The rows in order, each table with its total; then the private keys, then the configuration. */
export type ArchivePart =
  | RowPart
  | { readonly kind: 'key'; readonly name: string; readonly text: string }
  | { readonly kind: 'config'; readonly text: string };

export interface OpenArchive extends AsyncDisposable {
  /** What its beginning says; it counts once `manifest()` answers. */
  readonly format: FormatRecord;
  /** To be read once. Failures: `refused`, naming the place. */
  readonly parts: AsyncIterable<ArchivePart>;
  /** Only when `parts` has come to its end without an error, and then everything in it is as it was written. */
  manifest(): Manifest;
}

/**
 * Opens an archive and reads its first entry.
 * Failures: `refused` when nothing at hand opens it, when it is damaged (naming the place), of a newer format, of another
 * deployment, or signed by nobody who is trusted; `invalid_input` for identities that are none; `interrupted`.
 */
export async function openArchive(
  source: AsyncIterable<Uint8Array>,
  options: ReadOptions,
): Promise<OpenArchive> {
  const limits = { ...LIMITS, ...options.limits };
  const entries = unpack(decompress(decipher(checkFile(source, options), options), limits), limits);
  const inspection = new Inspection(options);
  const first = await entries.next();
  if (first.done) throw damaged(FORMAT_ENTRY, 'there is no entry at all');
  const format = inspection.begin(first.value);
  return {
    format,
    parts: { [Symbol.asyncIterator]: () => inspection.parts(entries) },
    manifest: () => inspection.manifest(),
    [Symbol.asyncDispose]: async () => void (await entries.return()),
  };
}

/** Reads an archive to its end and keeps nothing of it. Failures: as `openArchive`. */
export async function checkArchive(
  source: AsyncIterable<Uint8Array>,
  options: ReadOptions,
): Promise<Manifest> {
  await using archive = await openArchive(source, options);
  for await (const _ of archive.parts);
  return archive.manifest();
}

/** The bytes as they are, while they are what the record beside the archive says of them. */
async function* checkFile(
  source: AsyncIterable<Uint8Array>,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void> {
  const { file } = options;
  const digest = createHash('sha256');
  let size = 0;
  for await (const bytes of untilAborted(source, options.signal, 'Reading the backup')) {
    size += bytes.length;
    if (file && size > file.size)
      throw damaged(`byte ${file.size}`, 'the file is longer than it was written');
    if (file) digest.update(bytes);
    yield bytes;
  }
  if (!file) return;
  if (size < file.size)
    throw damaged(`byte ${size}`, `the file is cut; it was written with ${file.size} bytes`);
  if (digest.digest('hex') !== file.sha256) throw damaged('an unknown byte', 'the file has another SHA-256');
}

async function* decipher(
  source: AsyncIterable<Uint8Array>,
  identities: Identities,
): AsyncGenerator<Uint8Array, void> {
  const reader = new ByteReader(source);
  try {
    const magic = await reader.take(AGE_MAGIC.length);
    const isEncrypted = magic.equals(AGE_MAGIC);
    if (!isEncrypted && !magic.subarray(0, ZSTD_MAGIC.length).equals(ZSTD_MAGIC)) {
      throw damaged('byte 0', 'this is neither an age file nor zstd');
    }
    const whole = reader.rest(magic);
    yield* isEncrypted ? decrypt(whole, identities) : whole;
  } finally {
    await reader.close();
  }
}

/** What is due next, and what has been seen. */
class Inspection {
  readonly #options: ReadOptions;
  readonly #entries: Manifest['entries'] = [];
  readonly #totals: { rows: number; digest: string }[] = [];
  #format: FormatRecord | undefined;
  #configSha256 = '';
  #lastKey = '';
  #mtime = 0;
  #manifest: Manifest | undefined;

  constructor(options: ReadOptions) {
    this.#options = options;
  }

  manifest(): Manifest {
    if (!this.#manifest) throw new TypeError('the archive has not been read to its end');
    return this.#manifest;
  }

  begin(entry: TarEntry): FormatRecord {
    if (entry.name !== FORMAT_ENTRY)
      throw damaged(printable(entry.name), 'format.json has to be the first entry');
    const format = readFormatRecord(entry.bytes);
    this.#checkIdentity(format);
    this.#format = format;
    this.#mtime = Math.floor(format.made_at / 1000);
    this.#note(entry);
    return format;
  }

  async *parts(entries: AsyncGenerator<TarEntry, void>): AsyncGenerator<ArchivePart, void> {
    const tables = (this.#format?.tables ?? []).values();
    let table = new TableCheck(tables.next().value?.name);
    let manifest: TarEntry | undefined;
    for await (const entry of entries) {
      const name = readEntryName(entry.name);
      if (!name) throw damaged(printable(entry.name), 'no entry of an archive is called so');
      while (table.name !== undefined && !(name.kind === 'rows' && name.table === table.name)) {
        yield this.#total(table);
        table = new TableCheck(tables.next().value?.name);
      }
      if (manifest) {
        this.#conclude(manifest, entry, name);
        manifest = undefined;
      } else if (name.kind === 'manifest') {
        this.#due(entry, this.#configSha256 !== '' && !this.#manifest);
        manifest = entry;
      } else {
        this.#note(entry);
        yield this.#part(entry, name, table);
      }
    }
    if (!this.#manifest) throw damaged('the end of the tar', 'the manifest and its signature are missing');
  }

  #part(entry: TarEntry, name: EntryName, table: TableCheck): ArchivePart {
    this.#due(entry, this.#configSha256 === '' && !this.#manifest);
    switch (name.kind) {
      case 'rows':
        this.#due(entry, table.name === name.table && table.isNext(name.chunk));
        return table.add(entry);
      case 'key':
        this.#due(entry, name.name > this.#lastKey);
        this.#lastKey = name.name;
        return { kind: 'key', name: name.name, text: entry.bytes.toString() };
      case 'config':
        this.#configSha256 = sha256(entry.bytes);
        return { kind: 'config', text: entry.bytes.toString() };
      default:
        throw damaged(entry.name, 'it is not where it should be');
    }
  }

  #conclude(entry: TarEntry, signature: TarEntry, name: EntryName): void {
    this.#due(signature, name.kind === 'signature');
    this.#checkTime(entry);
    this.#checkTime(signature);
    const signedBy = signerOf(entry.bytes, signature.bytes);
    if (signedBy === undefined) throw damaged(signature.name, 'it is not the signature of manifest.json');
    checkTrust(signedBy, this.#options.trust);
    const manifest = readManifest(entry.bytes);
    this.#checkIdentity(manifest);
    this.#compare(manifest);
    this.#manifest = manifest;
  }

  /** The manifest is signed; so whatever differs from it is not what was written. */
  #compare(manifest: Manifest): void {
    for (const [index, listed] of manifest.entries.entries()) {
      const found = this.#entries[index];
      if (found?.name !== listed.name)
        throw damaged(listed.name, `${found?.name ?? 'the manifest'} is in its place`);
      if (found.size !== listed.size)
        throw damaged(listed.name, `it has ${found.size} bytes instead of ${listed.size}`);
      if (found.sha256 !== listed.sha256)
        throw damaged(listed.name, 'its SHA-256 is not the one in the manifest');
    }
    const surplus = this.#entries[manifest.entries.length];
    if (surplus) throw damaged(surplus.name, 'the manifest does not know it');
    const format = this.#format;
    if (!format || !isSame(openingOf(format), openingOf(manifest))) {
      throw damaged(FORMAT_ENTRY, 'the manifest says otherwise');
    }
    for (const [index, { name, rows, digest }] of manifest.tables.entries()) {
      const total = this.#totals[index];
      if (total?.rows !== rows || total.digest !== digest)
        throw damaged(`tables/${name}`, 'its rows are not those counted');
    }
    if (manifest.config_sha256 !== this.#configSha256)
      throw damaged('config.json', 'the manifest says otherwise');
  }

  #total(table: TableCheck): RowPart {
    const total = table.total();
    this.#totals.push(total);
    return total;
  }

  #note(entry: TarEntry): void {
    this.#checkTime(entry);
    this.#entries.push({ name: entry.name, size: entry.bytes.length, sha256: sha256(entry.bytes) });
  }

  #checkTime(entry: TarEntry): void {
    if (entry.mtime !== this.#mtime) throw damaged(entry.name, 'it has another time than the archive');
  }

  #due(entry: TarEntry, isDue: boolean): void {
    if (!isDue) throw damaged(entry.name, 'it is not where it should be');
  }

  #checkIdentity({ id, deployment_id }: { id: string; deployment_id: string }): void {
    const { id: wanted, deploymentId } = this.#options;
    if (deploymentId !== undefined && deployment_id !== deploymentId) {
      throw new Failure('refused', `The archive is of another deployment: ${printable(deployment_id)}.`, {
        detail: `this deployment is ${deploymentId}`,
        hint: 'Use a backup of this deployment; `authserver backup list` shows them.',
      });
    }
    if (wanted !== undefined && id !== wanted) {
      throw new Failure('refused', `The archive is backup ${printable(id)}, not ${wanted}.`, {
        hint: 'Somebody has renamed or exchanged it. Use another copy or another backup: `authserver backup list`.',
      });
    }
  }
}

/** One table while its chunks come in. */
class TableCheck {
  readonly name: string | undefined;
  readonly #digest: Hash = createHash('sha256');
  #chunks = 0;
  #rows = 0;

  constructor(name: string | undefined) {
    this.name = name;
  }

  isNext(chunk: number): boolean {
    this.#chunks += 1;
    return chunk === this.#chunks;
  }

  add({ name, bytes }: TarEntry): RowPart {
    const rows = countLines(bytes);
    if (rows === undefined) throw damaged(name, 'its last row does not end');
    this.#rows += rows;
    this.#digest.update(bytes);
    return { kind: 'rows', table: this.name ?? '', rows, bytes };
  }

  total(): Extract<RowPart, { kind: 'total' }> {
    return { kind: 'total', table: this.name ?? '', rows: this.#rows, digest: this.#digest.digest('hex') };
  }
}

/** What format.json and the manifest both say. */
function openingOf({ format, id, deployment_id, program, made_at, schema, tables }: FormatRecord | Manifest) {
  const shapes = tables.map(({ name, columns, key }) => ({ name, columns, key }));
  const steps = schema.map(({ version, name, checksum }) => ({ version, name, checksum }));
  return { format, id, deployment_id, program, made_at, steps, shapes };
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A text from an archive that may be made up, for a sentence. */
function printable(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
