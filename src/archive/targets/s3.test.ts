import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect, inPieces, MADE_AT } from '../archive.test-kit.ts';
import { readHolding } from '../catalog.ts';
import { checkArchive } from '../reader.ts';
import { idOf, listed, publish, signer } from './publish.test-kit.ts';
import { BUCKET, CREDENTIALS, type Fate, type Seen, startBucket, type TestBucket } from './s3.test-kit.ts';
import { type BucketOptions, openBucket } from './s3.ts';
import type { Shelf } from './shelf.ts';
import { makeTarget, type Target } from './target.ts';

const DAY = 24 * 60 * 60 * 1000;
const trust = [signer.publicKey];
const PART = 256 * 1024;
/** Three parts of an archive. */
const ballast = randomBytes(600 * 1024);
const clock = { now: () => MADE_AT };

let bucket: TestBucket;
let run = 0;

beforeAll(async () => {
  bucket = await startBucket();
});
afterAll(() => bucket[Symbol.asyncDispose]());
beforeEach(() => {
  run += 1;
  bucket.fate = () => 'pass';
  bucket.seen.length = 0;
});

/** Every test has a prefix of its own. */
async function open(options: Partial<BucketOptions> = {}): Promise<Target> {
  return makeTarget('remote', await openShelf(options));
}

function openShelf(options: Partial<BucketOptions> = {}): Promise<Shelf> {
  const { endpoint } = bucket;
  return openBucket(
    {
      bucket: BUCKET,
      prefix: `run${run}/`,
      region: 'us-east-1',
      endpoint,
      pathStyle: true,
      credentials: CREDENTIALS,
      partSize: PART,
      ...options,
    },
    clock,
  );
}

async function wholeOnes(target: Target): Promise<string[]> {
  const ids: string[] = [];
  for await (const holding of target.list()) {
    const { faults, record } = readHolding(holding, trust);
    expect(faults).toEqual([]);
    await checkArchive(target.open(holding), { trust, id: holding.id, file: record!.file });
    ids.push(holding.id);
  }
  return ids;
}

const isUpload = ({ query }: Seen) => query.has('uploadId') || query.has('uploads');
const isRecord = ({ path }: Seen) => path.endsWith('.manifest.ndjson');
const isAbort = (seen: Seen) => seen.method === 'DELETE' && seen.query.has('uploadId');

/** s3rver cannot end uploads; that it was asked to is what counts. */
const withAborts =
  (fate: (seen: Seen) => Fate) =>
  (seen: Seen): Fate =>
    isAbort(seen) ? { status: 204 } : fate(seen);

describe('keeping backups in a bucket', () => {
  test('what was put is listed by sequence, found, opened and removed', async () => {
    const target = await open();
    for (const sequence of [2, 10, 1]) await publish(target, sequence);
    expect(await wholeOnes(target)).toEqual([idOf(1), idOf(2), idOf(10)]);
    expect(await listed(target, idOf(1))).toEqual([idOf(2), idOf(10)]);
    await target.mark(idOf(2), 'pinned', Buffer.from('x'));
    expect((await target.find(idOf(2))).pinned?.toString()).toBe('x');
    await target.remove(idOf(2));
    expect(await listed(target)).toEqual([idOf(1), idOf(10)]);
    await expect(target.find(idOf(2))).rejects.toMatchObject({ code: 'not_found' });
    expect(target.describe()).toEqual({
      name: 'remote',
      kind: 's3',
      place: `s3://backups/run${run}/`,
      region: 'us-east-1',
    });
  });

  test('a long archive goes up in parts, and its record comes last', async () => {
    const target = await open();
    await publish(target, 1, { ballast });
    const writes = bucket.seen.filter(({ method }) => method === 'PUT' || method === 'POST');
    expect(writes.filter(({ query }) => query.has('partNumber'))).toHaveLength(3);
    expect(writes.findIndex(isRecord)).toBe(writes.length - 1);
    expect(await wholeOnes(target)).toEqual([idOf(1)]);
  });

  test('storage class and lock are asked for, the lock for what must not go and not for marks', async () => {
    const target = await open({
      storageClass: 'STANDARD_IA',
      lock: { mode: 'compliance', retention: 30 * DAY },
    });
    await publish(target, 1);
    await target.mark(idOf(1), 'verified', Buffer.from('x'));
    const writes = bucket.seen.filter(({ method }) => method === 'PUT');
    expect(writes.map(({ headers }) => headers['x-amz-storage-class'])).toEqual(Array(3).fill('STANDARD_IA'));
    const until = new Date(MADE_AT + 30 * DAY).toISOString();
    expect(writes.map(({ headers }) => headers['x-amz-object-lock-retain-until-date'])).toEqual([
      until,
      until,
      undefined,
    ]);
    expect(writes[0]?.headers['x-amz-object-lock-mode']).toBe('COMPLIANCE');
  });

  test('a list of several pages goes on where a page ended', async () => {
    const target = await open();
    for (let sequence = 1; sequence <= 5; sequence++) await publish(target, sequence);
    bucket.seen.length = 0;
    bucket.fate = ({ query }) => (query.has('list-type') ? 'page' : 'pass');
    expect(await wholeOnes(target)).toEqual([1, 2, 3, 4, 5].map(idOf));
    const lists = bucket.seen.filter(({ query }) => query.has('list-type'));
    expect(lists.length).toBe(4);
  });

  test('a list of backups does not go through the recovery log', async () => {
    const target = await open();
    await publish(target, 1);
    const shelf = await openShelf();
    for (let n = 1; n <= 7; n++) await shelf.write(`log.${n}`, inPieces(Buffer.from('x')));
    bucket.seen.length = 0;
    bucket.fate = ({ query }) => (query.has('list-type') ? 'page' : 'pass');
    expect(await wholeOnes(target)).toEqual([idOf(1)]);
    expect(bucket.seen.filter(({ query }) => query.has('list-type'))).toHaveLength(1);
  });

  test('whether locks hold is found out by trying', async () => {
    const lock = { mode: 'governance', retention: DAY } as const;
    expect(await (await open()).proveLock()).toBe('none');
    const target = await open({ lock });
    expect(await target.proveLock()).toBe('open'); // s3rver has no versions
    const answers =
      (deleting: number) =>
      (seen: Seen): Fate =>
        seen.method === 'DELETE'
          ? { status: deleting }
          : { status: 200, headers: { 'x-amz-version-id': 'v1', etag: '"x"' } };
    bucket.fate = answers(403);
    expect(await target.proveLock()).toBe('holds');
    expect(bucket.seen.at(-1)?.query.get('versionId')).toBe('v1');
    bucket.fate = answers(204);
    expect(await target.proveLock()).toBe('open');
  });
});

describe('a store that fails', () => {
  test('once at each request of a put: the backup is there all the same', async () => {
    const target = await open();
    await publish(target, 1, { ballast });
    const requests = bucket.seen.length;
    expect(requests).toBe(6);
    for (let number = 1; number <= requests; number++) {
      bucket.seen.length = 0;
      bucket.fate = (seen) => (seen.number !== number ? 'pass' : number % 2 === 0 ? 'fail' : 'drop');
      await publish(target, 1 + number, { ballast });
    }
    bucket.fate = () => 'pass';
    expect(await listed(target)).toHaveLength(1 + requests);
  });

  test('for good from each request of a put on: nothing is listed, and the upload is ended', async () => {
    const target = await open({ tries: 1 });
    for (let number = 1; number <= 6; number++) {
      bucket.seen.length = 0;
      bucket.fate = withAborts(({ number: current }) => (current >= number ? 'fail' : 'pass'));
      await expect(publish(target, number, { ballast })).rejects.toMatchObject({
        code: 'unavailable',
        retryAfter: 60,
      });
      expect(bucket.seen.some(isAbort)).toBe(number > 1 && number < 6);
      bucket.fate = () => 'pass';
      expect(await listed(target)).toEqual([]);
    }
  });

  test('that cuts what is read: it is read on from there, and every byte is right', async () => {
    const target = await open();
    await publish(target, 1, { ballast });
    const holding = await target.find(idOf(1));
    const intact = await collect(target.open(holding));
    bucket.seen.length = 0;
    let cuts = 0;
    bucket.fate = ({ method }) => (method === 'GET' && cuts++ < 3 ? 'cut' : 'pass');
    expect((await collect(target.open(holding))).equals(intact)).toBe(true);
    const [, second] = bucket.seen;
    expect(second?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
    expect(second?.headers['if-match']).toBeDefined();
  });

  test('that never gives a byte is given up', async () => {
    const target = await open({ tries: 2 });
    await publish(target, 1);
    const holding = await target.find(idOf(1));
    bucket.fate = () => 'drop';
    await expect(collect(target.open(holding))).rejects.toMatchObject({ code: 'unavailable' });
  });

  test('that is slow is waited for', async () => {
    const target = await open();
    await publish(target, 1);
    bucket.fate = () => 'slow';
    expect(await wholeOnes(target)).toEqual([idOf(1)]);
  });

  test('that refuses is named as a matter of the configuration', async () => {
    const denied = await open({ credentials: { ...CREDENTIALS, accessKeyId: 'unknown' } });
    await expect(publish(denied, 1)).rejects.toMatchObject({
      code: 'configuration',
      hint: expect.any(String),
    });
    const missing = await open({ bucket: 'no-such-bucket' });
    await expect(listed(missing)).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining('NoSuchBucket'),
    });
  });
});

describe('stopping', () => {
  test('in the middle ends the upload and leaves nothing that is listed', async () => {
    const target = await open();
    const controller = new AbortController();
    bucket.fate = withAborts((seen) => {
      if (seen.query.get('partNumber') === '2') controller.abort();
      return 'pass';
    });
    const { signal } = controller;
    await expect(publish(target, 1, { ballast, signal })).rejects.toMatchObject({ code: 'interrupted' });
    expect(bucket.seen.filter(isAbort)).toHaveLength(1);
    expect(bucket.seen.some(isRecord)).toBe(false);
    expect(await listed(target)).toEqual([]);
  });

  test('while the source does not answer', async () => {
    const target = await open();
    const never = async function* (): AsyncGenerator<Buffer> {
      yield ballast;
      await new Promise(() => undefined);
    };
    bucket.fate = withAborts(() => 'pass');
    const signal = AbortSignal.timeout(200);
    const put = target.put({
      id: idOf(1),
      isEncrypted: true,
      archive: never(),
      record: async () => Buffer.alloc(0),
      signal,
    });
    await expect(put).rejects.toMatchObject({ code: 'interrupted' });
    expect(bucket.seen.filter(isUpload).at(-1)?.method).toBe('DELETE');
  });
});

test('what killed runs have left is swept after a day', async () => {
  const target = await open();
  await publish(target, 1);
  await publish(target, 2);
  const shelf = await openBucket(
    {
      bucket: BUCKET,
      prefix: `run${run}/`,
      region: 'us-east-1',
      endpoint: bucket.endpoint,
      pathStyle: true,
      credentials: CREDENTIALS,
    },
    clock,
  );
  await shelf.remove(`${idOf(2)}.manifest.ndjson`);
  const initiated = (at: number) => new Date(at).toISOString();
  const now = Date.now();
  const uploads = `<ListMultipartUploadsResult>
    <Upload><Key>run${run}/old</Key><UploadId>u1</UploadId><Initiated>${initiated(now - 2 * DAY)}</Initiated></Upload>
    <Upload><Key>run${run}/new</Key><UploadId>u2</UploadId><Initiated>${initiated(now)}</Initiated></Upload>
  </ListMultipartUploadsResult>`;
  const faked = withAborts(({ query }) => (query.has('uploads') ? { status: 200, body: uploads } : 'pass'));
  bucket.fate = faked;
  expect(await target.sweep(now)).toEqual(['old (an upload that was not finished)']);
  expect(bucket.seen.filter(isAbort).map(({ query }) => query.get('uploadId'))).toEqual(['u1']);
  bucket.fate = withAborts(({ query }) =>
    query.has('uploads') ? { status: 200, body: '<ListMultipartUploadsResult/>' } : 'pass',
  );
  expect(await target.sweep(now + 2 * DAY)).toEqual([`${idOf(2)}.tar.zst`]);
  expect(await listed(target)).toEqual([idOf(1)]);
});
