/**
 * The catalog: what the signed records beside the archives say, so that a listing needs no key to open any of them. A
 * record, a proof of verification and a pin count only with a trusted signature; whoever can write to a target can put
 * files there, but not make them count.
 */
import { z } from 'zod';
import { Failure } from '../kernel/errors.ts';
import { FORMAT } from './format.ts';
import { readRecord } from './manifest.ts';
import type { RetentionItem } from './retention.ts';
import { readSigned, type Signer, signLine, type Trust } from './signature.ts';
import type { ArchiveFile, Holding } from './targets/target.ts';
import type { Written } from './writer.ts';

const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().min(1);

/** `<id>.manifest.ndjson`: the record of a backup. */
const backupRecord = z.strictObject({
  type: z.literal('authserver.backup'),
  format: z.literal(FORMAT),
  id: text,
  sequence: count,
  deployment_id: text,
  restore_epoch: count,
  program: text,
  made_at: count,
  /** As in the manifest. */
  recovery_point: z.strictObject({ from: count, to: count }),
  /** The last schema step that its database had had. */
  schema_version: count,
  rows: count,
  tags: z.array(text),
  encryption: z.strictObject({ kind: z.enum(['age', 'passphrase', 'none']), recipients: z.array(text) }),
  file: z.strictObject({ name: text, size: count, sha256: digest }),
  /** Of the tar within, which is what a restore needs room for. */
  unpacked_size: count,
  /** Of manifest.json within. */
  manifest_sha256: digest,
});

/** `<id>.verified.ndjson`: that a backup was restored and tried, and how that went. */
const verificationRecord = z.strictObject({
  type: z.literal('authserver.verification'),
  format: z.literal(FORMAT),
  id: text,
  /** Of the archive that was tried. */
  archive_sha256: digest,
  passed: z.boolean(),
  verified_at: count,
  /** How long a restore takes, as it was measured. */
  rto_ms: count,
  program: text,
  /** What was wrong; empty when it passed. */
  findings: z.array(text),
});

/** `<id>.pinned.ndjson`: that a backup is to be kept, or no longer. */
const pinRecord = z.strictObject({
  type: z.literal('authserver.pin'),
  format: z.literal(FORMAT),
  id: text,
  pinned: z.boolean(),
  at: count,
  reason: z.string(),
});

export type BackupRecord = Readonly<z.output<typeof backupRecord>>;
export type VerificationRecord = Readonly<z.output<typeof verificationRecord>>;
export type PinRecord = Readonly<z.output<typeof pinRecord>>;

/** A backup on a target, as far as its records can be believed. */
export interface CatalogEntry {
  readonly target: string;
  readonly id: string;
  /** Undefined when there is no record that can be believed; `faults` says why. */
  readonly record: BackupRecord | undefined;
  readonly verification: VerificationRecord | undefined;
  readonly pin: PinRecord | undefined;
  /** What is wrong with the backup as it lies there; with a fault it counts as one that has failed. */
  readonly faults: readonly string[];
  /** What is there besides and cannot be believed, and so counts for nothing. */
  readonly doubts: readonly string[];
  /** To open the archive with. */
  readonly holding: Holding;
}

/** The signed record of an archive that has been written. */
export async function recordOf(written: Written, file: ArchiveFile, signer: Signer): Promise<Buffer> {
  const { manifest, manifestSha256, rows, bytes } = written;
  const { from, to } = manifest.recovery_point;
  const record: BackupRecord = {
    type: 'authserver.backup',
    format: FORMAT,
    id: manifest.id,
    sequence: manifest.sequence,
    deployment_id: manifest.deployment_id,
    restore_epoch: manifest.restore_epoch,
    program: manifest.program,
    made_at: manifest.made_at,
    recovery_point: { from, to },
    schema_version: Math.max(0, ...manifest.schema.map(({ version }) => version)),
    rows,
    tags: manifest.tags,
    encryption: manifest.encryption,
    file,
    unpacked_size: bytes,
    manifest_sha256: manifestSha256,
  };
  return signLine(signer, record);
}

export type Verification = Omit<VerificationRecord, 'type' | 'format'>;
export type Pin = Omit<PinRecord, 'type' | 'format'>;

export function signVerification(verification: Verification, signer: Signer): Promise<Buffer> {
  return signLine(signer, { type: 'authserver.verification', format: FORMAT, ...verification });
}

export function signPin(pin: Pin, signer: Signer): Promise<Buffer> {
  return signLine(signer, { type: 'authserver.pin', format: FORMAT, ...pin });
}

/** What a holding is, once its signatures have been looked at. It throws nothing: what is wrong is told. */
export function readHolding(holding: Holding, trust: Trust): CatalogEntry {
  const reading = new Reading(holding.id, trust);
  const record = reading.read(backupRecord, holding.record, 'its record');
  const faults = record ? fileFaults(holding, record) : reading.doubts.splice(0);
  const verification = reading.read(verificationRecord, holding.verified, 'the proof of its verification');
  const pin = reading.read(pinRecord, holding.pinned, 'its pin');
  const isOfFile = verification?.archive_sha256 === record?.file.sha256;
  if (verification && !isOfFile)
    reading.doubts.push('the proof of its verification is about another archive');
  const { target, id } = holding;
  const proof = isOfFile ? verification : undefined;
  return { target, id, record, verification: proof, pin, faults, doubts: reading.doubts, holding };
}

/** What retention has to know of an entry; undefined where there is no record to go by. */
export function retentionItem({
  id,
  record,
  verification,
  pin,
  faults,
}: CatalogEntry): RetentionItem | undefined {
  if (!record) return undefined;
  const hasFailed = faults.length > 0 || verification?.passed === false;
  return {
    id,
    sequence: record.sequence,
    deploymentId: record.deployment_id,
    madeAt: record.made_at,
    state: hasFailed ? 'failed' : verification ? 'verified' : 'unverified',
    isPinned: pin?.pinned === true,
  };
}

/**
 * The sequence of the next backup: one more than any that a target shows or the deployment remembers, so that it grows
 * even after a restore, and even while a target does not answer.
 * @param remembered the last one that the deployment knows of; 0 when it knows of none
 */
export function nextSequence(
  entries: readonly CatalogEntry[],
  deploymentId: string,
  remembered: number,
): number {
  const own = entries.flatMap(({ record }) =>
    record?.deployment_id === deploymentId ? [record.sequence] : [],
  );
  return Math.max(remembered, ...own) + 1;
}

/** Reads what is signed about one backup, and remembers what could not be believed. */
class Reading {
  readonly doubts: string[] = [];
  readonly #id: string;
  readonly #trust: Trust;

  constructor(id: string, trust: Trust) {
    this.#id = id;
    this.#trust = trust;
  }

  read<Schema extends z.ZodType<{ id: string }>>(
    schema: Schema,
    bytes: Buffer | undefined,
    what: string,
  ): z.output<Schema> | undefined {
    const signed = bytes && readSigned(bytes);
    if (!bytes) return undefined;
    if (!signed) return this.#doubt(`${what} is not signed, or was changed`);
    if (!this.#trust.includes(signed.signedBy)) {
      return this.#doubt(`${what} is signed by a key that is not trusted here: ${signed.signedBy}`);
    }
    try {
      const found = readRecord(schema, signed.line, what);
      return found.id === this.#id ? found : this.#doubt(`${what} is that of backup ${found.id}`);
    } catch (error) {
      if (error instanceof Failure) return this.#doubt(error.message);
      throw error;
    }
  }

  #doubt(text: string): undefined {
    this.doubts.push(text);
  }
}

function fileFaults({ archive }: Holding, { file }: BackupRecord): string[] {
  if (!archive) return ['its archive is missing'];
  const faults: string[] = [];
  if (archive.name !== file.name) faults.push(`its archive is called ${archive.name}, not ${file.name}`);
  if (archive.size !== file.size)
    faults.push(`its archive has ${archive.size} bytes instead of ${file.size}`);
  return faults;
}
