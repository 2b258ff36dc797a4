/**
 * Backups in a bucket of S3 or of anything compatible. What is long goes up in parts of which one is held while the next
 * one is read; it appears when the last call says so. The client is loaded when a bucket is opened: it is large.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { ByteReader } from '../byte-reader.ts';
import { untilAborted } from '../until-aborted.ts';
import type { LockProof, Shelf, ShelfDescription, ShelfFile, ShelfWrite } from './shelf.ts';

export interface BucketOptions {
  readonly bucket: string;
  /** Before every name, such as `production/`. */
  readonly prefix: string;
  readonly region: string;
  /** Of what is compatible with S3; undefined for AWS itself. */
  readonly endpoint?: string;
  /** Whether the bucket stands in the path of the URL instead of its host. */
  readonly pathStyle?: boolean;
  /** Undefined: as the environment, the machine's role or a profile says. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** `STANDARD_IA`, `GLACIER_IR` ...; undefined for the bucket's own. */
  readonly storageClass?: string;
  /** Object lock; the bucket has to have it. */
  readonly lock?: BucketLock;
  /** How often a request is tried in all. */
  readonly tries?: number;
  /** Bytes of a part; S3 wants at least 5 MiB of all but the last, and at most 10,000 parts. */
  readonly partSize?: number;
}

export interface BucketLock {
  readonly mode: 'governance' | 'compliance';
  /** How long from the writing, ms. */
  readonly retention: number;
}

const TRIES = 6;
const PART = 16 * 1024 * 1024;
const MOST_PARTS = 10_000;
/** ms; twice as long after each try. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;
const CONNECT_WITHIN = 10_000;
/** A connection on which nothing moves for so long, ms, is given up. */
const SILENCE = 60_000;

interface Location {
  readonly Bucket: string;
  readonly Key: string;
}

interface Upload extends Location {
  readonly UploadId: string | undefined;
}

/** What is locked to see whether that holds, and for how long, ms. */
const PROBE = 'lock-probe';
const PROBE_RETENTION = 60_000;

type Sdk = typeof import('@aws-sdk/client-s3');

/** Loads the client; nothing is asked of the bucket yet. */
export async function openBucket(options: BucketOptions, clock: Clock): Promise<Shelf> {
  const sdk = await import('@aws-sdk/client-s3');
  const { region, endpoint, credentials, pathStyle = false, tries = TRIES } = options;
  const client = new sdk.S3Client({
    region,
    forcePathStyle: pathStyle,
    maxAttempts: tries,
    requestHandler: { connectionTimeout: CONNECT_WITHIN, socketTimeout: SILENCE },
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials && { credentials }),
  });
  return new Bucket(sdk, client, options, clock);
}

class Bucket implements Shelf {
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #options: BucketOptions;
  readonly #clock: Clock;

  constructor(sdk: Sdk, client: S3Client, options: BucketOptions, clock: Clock) {
    this.#sdk = sdk;
    this.#client = client;
    this.#options = options;
    this.#clock = clock;
  }

  describe(): ShelfDescription {
    const { bucket, prefix, region, storageClass, lock } = this.#options;
    return {
      kind: 's3',
      place: `s3://${bucket}/${prefix}`,
      region,
      ...(storageClass !== undefined && { storageClass }),
      ...(lock && { lock }),
    };
  }

  async write(
    name: string,
    source: AsyncIterable<Uint8Array>,
    { signal, locks }: ShelfWrite = {},
  ): Promise<void> {
    const { partSize = PART } = this.#options;
    const parts = new ByteReader(untilAborted(source, signal, 'Writing the backup'));
    try {
      const first = await parts.take(partSize);
      const target = { ...this.#key(name), ...this.#storage(locks ?? false) };
      if (first.length === partSize) return await this.#writeParts(target, first, parts, signal);
      await this.#attempt(signal, (abortSignal) =>
        this.#client.send(new this.#sdk.PutObjectCommand({ ...target, Body: first }), { abortSignal }),
      );
    } finally {
      await parts.close();
    }
  }

  async *read(name: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const { tries = TRIES } = this.#options;
    let at = 0;
    let tag: string | undefined;
    for (let failed = 0; ; ) {
      const before = at;
      try {
        const answer = await this.#get(name, at, tag, signal);
        tag = answer.tag;
        for await (const bytes of untilAborted(answer.body, signal, 'Reading the backup')) {
          at += bytes.length;
          yield bytes;
        }
        if (at === answer.size) return;
        throw new Error(`the answer ended after ${at} of ${answer.size} bytes`);
      } catch (error) {
        if (error instanceof Failure) throw error;
        // What has come once need not come again: only tries without any progress are counted.
        failed = at > before ? 1 : failed + 1;
        if (failed >= tries) throw this.#asFailure(error);
        await pause(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failed), undefined, {
          ...(signal && { signal }),
        });
      }
    }
  }

  async *list(after: string, signal?: AbortSignal): AsyncGenerator<ShelfFile, void> {
    const { bucket, prefix } = this.#options;
    let last = `${prefix}${after}`;
    for (;;) {
      const input = { Bucket: bucket, Prefix: prefix, StartAfter: last };
      const page = await this.#attempt(signal, (abortSignal) =>
        this.#client.send(new this.#sdk.ListObjectsV2Command(input), { abortSignal }),
      );
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        last = Key;
        yield { name: Key.slice(prefix.length), size: Size, modifiedAt: LastModified?.getTime() ?? 0 };
      }
      if (!page.IsTruncated || !page.Contents?.length) return;
    }
  }

  async remove(name: string): Promise<void> {
    await this.#attempt(undefined, () =>
      this.#client.send(new this.#sdk.DeleteObjectCommand(this.#key(name))),
    );
  }

  async sweep(before: number): Promise<string[]> {
    const { bucket, prefix } = this.#options;
    const input = { Bucket: bucket, Prefix: prefix };
    const page = await this.#attempt(undefined, () =>
      this.#client.send(new this.#sdk.ListMultipartUploadsCommand(input)),
    );
    const swept: string[] = [];
    for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
      if (!Initiated || Initiated.getTime() > before) continue;
      await this.#abort({ Bucket: bucket, Key, UploadId });
      swept.push(`${Key.slice(prefix.length)} (an upload that was not finished)`);
    }
    return swept;
  }

  async proveLock(): Promise<LockProof> {
    if (!this.#options.lock) return 'none';
    const until = new Date(this.#clock.now() + PROBE_RETENTION);
    const probe = { ...this.#key(PROBE), ...this.#storage(true), ObjectLockRetainUntilDate: until };
    const { VersionId } = await this.#attempt(undefined, () =>
      this.#client.send(
        new this.#sdk.PutObjectCommand({ ...probe, Body: 'Shows that what is locked stays.' }),
      ),
    );
    // Without versions there are no locks.
    if (VersionId === undefined) return 'open';
    try {
      await this.#client.send(new this.#sdk.DeleteObjectCommand({ ...this.#key(PROBE), VersionId }));
      return 'open';
    } catch (error) {
      if ((error as Partial<S3ServiceException>).$metadata?.httpStatusCode === 403) return 'holds';
      throw this.#asFailure(error);
    }
  }

  async #writeParts(
    target: Location,
    first: Buffer,
    parts: ByteReader,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { partSize = PART } = this.#options;
    const { UploadId } = await this.#attempt(signal, (abortSignal) =>
      this.#client.send(new this.#sdk.CreateMultipartUploadCommand(target), { abortSignal }),
    );
    const upload = { Bucket: target.Bucket, Key: target.Key, UploadId };
    try {
      const sent: Promise<{ ETag: string | undefined; PartNumber: number }>[] = [];
      for (let part = first; part.length > 0; part = await parts.take(partSize)) {
        // The part before is on its way while this one was read.
        await sent.at(-1);
        if (sent.length === MOST_PARTS) throw tooLong(partSize);
        sent.push(this.#sendPart(upload, part, sent.length + 1, signal));
        sent.at(-1)?.catch(() => undefined);
      }
      const Parts = await Promise.all(sent);
      await this.#attempt(signal, (abortSignal) =>
        this.#client.send(
          new this.#sdk.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }),
          { abortSignal },
        ),
      );
    } catch (error) {
      // Where this fails too, it is swept later.
      await this.#abort(upload).catch(() => undefined);
      throw error;
    }
  }

  async #sendPart(upload: Upload, Body: Buffer, PartNumber: number, signal: AbortSignal | undefined) {
    const { ETag, ChecksumCRC32 } = await this.#attempt(signal, (abortSignal) =>
      this.#client.send(new this.#sdk.UploadPartCommand({ ...upload, PartNumber, Body }), { abortSignal }),
    );
    return { PartNumber, ETag, ...(ChecksumCRC32 !== undefined && { ChecksumCRC32 }) };
  }

  async #abort(upload: Upload): Promise<void> {
    await this.#attempt(undefined, () =>
      this.#client.send(new this.#sdk.AbortMultipartUploadCommand(upload)),
    );
  }

  async #get(name: string, at: number, tag: string | undefined, signal: AbortSignal | undefined) {
    // Only the rest of the same file may follow what has been read.
    const rest = at > 0 && { Range: `bytes=${at}-`, ...(tag !== undefined && { IfMatch: tag }) };
    const answer = await this.#attempt(signal, (abortSignal) =>
      this.#client.send(new this.#sdk.GetObjectCommand({ ...this.#key(name), ...rest }), { abortSignal }),
    );
    return {
      body: answer.Body as unknown as AsyncIterable<Uint8Array>,
      size: at + (answer.ContentLength ?? 0),
      tag: answer.ETag,
    };
  }

  #key(name: string): Location {
    return { Bucket: this.#options.bucket, Key: `${this.#options.prefix}${name}` };
  }

  #storage(locks: boolean) {
    const { storageClass, lock } = this.#options;
    return {
      ...(storageClass !== undefined && { StorageClass: storageClass as 'STANDARD' }),
      ...(lock &&
        locks && {
          ObjectLockMode: lock.mode === 'compliance' ? ('COMPLIANCE' as const) : ('GOVERNANCE' as const),
          ObjectLockRetainUntilDate: new Date(this.#clock.now() + lock.retention),
        }),
    };
  }

  async #attempt<T>(
    signal: AbortSignal | undefined,
    work: (abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { signal: ours } = new AbortController();
    try {
      return await work(signal ?? ours);
    } catch (error) {
      if (signal?.aborted) throw new Failure('interrupted', 'The backup was stopped.');
      throw this.#asFailure(error);
    }
  }

  #asFailure(error: unknown): Failure {
    const { name, message, $metadata } = error as Partial<S3ServiceException>;
    const place = `The bucket s3://${this.#options.bucket}`;
    const parts = { detail: `${name}: ${message}`, cause: error };
    const status = $metadata?.httpStatusCode;
    if (name === 'NoSuchKey' || name === 'NotFound') {
      return new Failure('not_found', `${place} does not hold that file.`, parts);
    }
    if (status === 412) {
      const hint = 'Begin again; if it happens again, somebody overwrites backups.';
      return new Failure('conflict', `${place} holds another file of that name by now.`, { ...parts, hint });
    }
    if (status !== undefined && status >= 400 && status < 500 && status !== 429) {
      const hint = 'Look at the name of the bucket, its region, and what the credentials may do.';
      return new Failure('configuration', `${place} refuses: ${name}.`, { ...parts, hint });
    }
    // What the network says has a code, and only the name `Error`.
    const reason = 'code' in (error as object) ? (error as { code: unknown }).code : name;
    return new Failure('unavailable', `${place} does not answer: ${reason}.`, { ...parts, retryAfter: 60 });
  }
}

function tooLong(partSize: number): Failure {
  return new Failure(
    'configuration',
    `The archive is longer than ${MOST_PARTS} parts of ${partSize} bytes.`,
    {
      hint: 'Set larger parts for this target.',
    },
  );
}
