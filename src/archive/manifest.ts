/** What the first and the last JSON entry of an archive say. Times are milliseconds since 1970, digests SHA-256 in hexadecimal. */
import { z } from 'zod';
import { fromUtf8 } from '../kernel/bytes.ts';
import { CannotRead, damaged, FORMAT } from './format.ts';

const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().min(1);

const schemaStep = z.strictObject({ version: count, name: text, checksum: text });

/** A table as it was when the backup began: columns in their order, and those of the primary key. */
const tableShape = z.strictObject({
  name: text,
  columns: z.array(text).readonly(),
  key: z.array(text).readonly(),
});

const opening = {
  format: z.literal(FORMAT),
  id: text,
  deployment_id: text,
  /** The version of the program that wrote it. */
  program: text,
  made_at: count,
  schema: z.array(schemaStep),
};

/** `format.json`: what has to be known before the first row is read. It counts once the manifest has confirmed it. */
const formatRecord = z.strictObject({
  type: z.literal('authserver.archive'),
  ...opening,
  tables: z.array(tableShape),
});

/** The database holds whatever was committed by `from`, and nothing that was begun after `to`. */
const recoveryPoint = z.strictObject({
  from: count,
  to: count,
  /** The end of the audit chain at that moment. */
  audit: z.strictObject({ sequence: z.int(), hash: z.string() }),
});

const publicKey = z.strictObject({
  kid: text,
  jwk: z.record(z.string(), z.unknown()),
  /** Of the private half, so that it can be recognised; the room that owns keys says how it is made. */
  fingerprint: text,
});

/** `manifest.json`: everything that is in the archive. */
const manifest = z.strictObject({
  type: z.literal('authserver.archive-manifest'),
  ...opening,
  /** Grows with every restore of the deployment. */
  restore_epoch: count,
  /** Grows with every backup of the deployment; the order of backups, whatever the clocks said. */
  sequence: count,
  recovery_point: recoveryPoint,
  tables: z.array(tableShape.extend({ rows: count, digest })),
  /** All entries before this one, in their order. */
  entries: z.array(z.strictObject({ name: text, size: count, sha256: digest })),
  keys: z.strictObject({
    public: z.array(publicKey),
    /** The ids of all keys that some row cannot do without. */
    needed: z.array(text),
  }),
  config_sha256: digest,
  tags: z.array(text),
  encryption: z.strictObject({ kind: z.enum(['age', 'passphrase', 'none']), recipients: z.array(text) }),
});

export type SchemaStep = Readonly<z.output<typeof schemaStep>>;
export type TableShape = Readonly<z.output<typeof tableShape>>;
export type FormatRecord = Readonly<z.output<typeof formatRecord>>;
export type Manifest = Readonly<z.output<typeof manifest>>;
export type RecoveryPoint = Readonly<z.output<typeof recoveryPoint>>;
export type ArchivedKey = Readonly<z.output<typeof publicKey>>;

/** Failures: `refused` for a newer format, naming what to do, and for anything that is no such record. */
export function readFormatRecord(bytes: Buffer): FormatRecord {
  return readRecord(formatRecord, bytes, 'format.json');
}

/** Failures: as `readFormatRecord`. */
export function readManifest(bytes: Buffer): Manifest {
  return readRecord(manifest, bytes, 'manifest.json');
}

/** Reads a record that carries a format version. Failures: as `readFormatRecord`. */
export function readRecord<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Buffer,
  place: string,
): z.output<Schema> {
  const value = parse(bytes, place);
  checkFormat(value, place);
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw damaged(place, `${issue?.path.join('.') || 'it'} is not as it should be (${issue?.message})`);
}

function checkFormat(value: unknown, place: string): void {
  const { format, program } = Object(value) as { format?: unknown; program?: unknown };
  if (typeof format !== 'number' || format <= FORMAT) return;
  throw new CannotRead(`The archive has format ${format}; this version reads up to ${FORMAT}.`, {
    detail: place,
    hint: `It was written by authserver ${String(program)}. Install that version or a newer one and try again.`,
  });
}

function parse(bytes: Buffer, place: string): unknown {
  try {
    return JSON.parse(fromUtf8(bytes) ?? '');
  } catch (cause) {
    throw damaged(place, 'it is not JSON', cause);
  }
}
