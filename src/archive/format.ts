/**
 * archive: the backup format (what an archive consists of, how it is written and read), its targets, the catalog of what
 * the targets hold, and which of it is kept. It sees rows as bytes: it knows no table, no store, no HTTP and no settings.
 *
 * An archive is a tar in zstd in age, described byte by byte in docs/backup-format.md. Its entries come in this order:
 * format.json, tables/<table>/<000001...>.ndjson, keys/<name>, config.json, manifest.json, manifest.sig.
 */
import { Failure, type FailureParts } from '../kernel/errors.ts';

/** The version of the format that is written, and the newest that is read. */
export const FORMAT = 1;

export const FORMAT_ENTRY = 'format.json';
export const CONFIG_ENTRY = 'config.json';
export const MANIFEST_ENTRY = 'manifest.json';
export const SIGNATURE_ENTRY = 'manifest.sig';

const TABLE_NAME = /^[a-z][a-z0-9_]{0,62}$/;
/** The id of a key may begin with any of these; a dot would hide the file, and two could lead out of a folder. */
const KEY_NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,89}$/;
const CHUNK_ENTRY = /^tables\/([a-z][a-z0-9_]{0,62})\/(\d{6})\.ndjson$/;
const KEY_ENTRY = /^keys\/([A-Za-z0-9_-][A-Za-z0-9_.-]{0,89})$/;

/** What a reader accepts, so that a made-up archive cannot exhaust the machine. */
export interface Limits {
  /** Bytes of one entry: it is held in memory whole. */
  readonly entryBytes: number;
  /** Entries: their digests are held until the manifest has come. */
  readonly entries: number;
  /** Bytes of the tar. */
  readonly totalBytes: number;
  /** How many bytes of tar one byte of the archive may become, once the tar is longer than one entry may be. */
  readonly ratio: number;
}

export const LIMITS: Limits = {
  entryBytes: 64 * 1024 * 1024,
  entries: 250_000,
  totalBytes: 256 * 1024 ** 3,
  ratio: 1000,
};

/** The name of a table's n-th chunk, counted from 1. */
export function chunkEntry(table: string, chunk: number): string {
  if (!TABLE_NAME.test(table)) throw new TypeError(`"${table}" cannot be the name of a table in an archive`);
  if (chunk > 999_999) throw new RangeError(`table ${table} has too many chunks for one archive`);
  return `tables/${table}/${String(chunk).padStart(6, '0')}.ndjson`;
}

export function keyEntry(name: string): string {
  if (!KEY_NAME.test(name)) throw new TypeError(`"${name}" cannot be the name of a key in an archive`);
  return `keys/${name}`;
}

/** What the name of an entry says, or undefined when it is none of ours. */
export function readEntryName(name: string): EntryName | undefined {
  const chunk = CHUNK_ENTRY.exec(name);
  if (chunk) return { kind: 'rows', table: chunk[1] ?? '', chunk: Number(chunk[2]) };
  const key = KEY_ENTRY.exec(name);
  if (key) return { kind: 'key', name: key[1] ?? '' };
  return PLAIN_NAMES.get(name);
}

export type EntryName =
  | { readonly kind: 'rows'; readonly table: string; readonly chunk: number }
  | { readonly kind: 'key'; readonly name: string }
  | { readonly kind: 'format' | 'config' | 'manifest' | 'signature' };

const PLAIN_NAMES: ReadonlyMap<string, EntryName> = new Map([
  [FORMAT_ENTRY, { kind: 'format' }],
  [CONFIG_ENTRY, { kind: 'config' }],
  [MANIFEST_ENTRY, { kind: 'manifest' }],
  [SIGNATURE_ENTRY, { kind: 'signature' }],
]);

/** `refused`, though the archive may be whole: whoever reads it lacks what opens it, or is too old for it. */
export class CannotRead extends Failure {
  /** @param sentence as of any Failure */
  constructor(sentence: string, parts: FailureParts) {
    super('refused', sentence, parts);
  }
}

/**
 * The failure of an archive that is not as it was written.
 * @param place where in the archive, as a reader would look for it
 * @param why what is wrong there
 */
export function damaged(place: string, why: string, cause?: unknown): Failure {
  return new Failure('refused', `The archive is damaged at ${place}: ${why}.`, {
    hint: 'Use another copy of it from another target, or another backup: `authserver backup list`.',
    cause,
  });
}
