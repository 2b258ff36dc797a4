/** A bucket for tests: s3rver, and before it a proxy that sees each request and can spoil it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';

/**
 * What becomes of a request. `cut`: the answer breaks off in the middle; `slow`: it comes bit by bit; `hang`: it never comes;
 * `lost`: what was asked for is done, and nobody hears of it; `page`: of a list, only the first three.
 */
export type Fate =
  | 'hang'
  | 'pass'
  | 'fail'
  | 'drop'
  | 'lost'
  | 'cut'
  | 'slow'
  | 'page'
  | { status: number; body?: string; headers?: Record<string, string> };

export interface Seen {
  /** Counted from 1. */
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

interface S3rverServer {
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
}
type S3rver = new (options: Record<string, unknown>) => S3rverServer;

export interface TestBucket extends AsyncDisposable {
  readonly endpoint: string;
  /** All requests so far. */
  readonly seen: Seen[];
  /** Set it to spoil requests. */
  fate: (request: Seen) => Fate;
}

/** So that the two files of a backup can be on two pages. */
const PAGE = 3;

export const BUCKET = 'backups';
export const CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

export async function startBucket(): Promise<TestBucket> {
  const directory = await mkdtemp(join(tmpdir(), 'archive-s3-'));
  const Server = createRequire(import.meta.url)('s3rver') as S3rver;
  const options = {
    port: 0,
    address: '127.0.0.1',
    silent: true,
    directory,
    configureBuckets: [{ name: BUCKET }],
  };
  const s3rver = new Server(options);
  const { port } = await s3rver.run();
  const bucket = { seen: [] as Seen[], fate: (_: Seen): Fate => 'pass' };
  const proxy = createServer((incoming, answer) => {
    const seen = look(incoming, bucket.seen.length + 1);
    bucket.seen.push(seen);
    serve(bucket.fate(seen), incoming, answer, port);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return Object.assign(bucket, {
    endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      await close(proxy);
      await s3rver.close();
      await rm(directory, { recursive: true });
    },
  });
}

function look({ method = '', url = '', headers }: IncomingMessage, number: number): Seen {
  const { pathname, searchParams } = new URL(url, 'http://bucket');
  return { number, method, path: pathname, query: searchParams, headers };
}

function serve(fate: Fate, incoming: IncomingMessage, answer: ServerResponse, port: number): void {
  if (fate === 'drop') {
    incoming.destroy();
    return;
  }
  if (fate === 'hang') {
    incoming.resume();
    return;
  }
  if (fate === 'fail' || typeof fate === 'object') {
    const { status, body = '', headers = {} } = fate === 'fail' ? { status: 503 } : fate;
    incoming.resume().on('end', () => answer.writeHead(status, headers).end(body));
    return;
  }
  const { method, url, headers } = incoming;
  const forward = request({ host: '127.0.0.1', port, method, path: url, headers }, (found) => {
    const { 'content-length': _length, ...others } = found.headers;
    answer.writeHead(found.statusCode ?? 500, fate === 'page' ? others : { ...found.headers });
    if (fate === 'lost') found.resume().on('end', () => answer.destroy());
    else if (fate === 'pass') found.pipe(answer);
    else if (fate === 'page') shorten(found, answer);
    else found.pipe(fate === 'cut' ? cutting(answer) : slowing(answer));
  });
  forward.on('error', () => answer.destroy());
  incoming.pipe(forward);
}

/** s3rver has no pages of its own on this Node. */
function shorten(found: IncomingMessage, answer: ServerResponse): void {
  const pieces: Buffer[] = [];
  found.on('data', (piece: Buffer) => pieces.push(piece));
  found.on('end', () => {
    let entries = 0;
    const whole = Buffer.concat(pieces).toString();
    const page = whole.replace(/<Contents>.*?<\/Contents>/gs, (entry) => (++entries <= PAGE ? entry : ''));
    answer.end(entries <= PAGE ? whole : page.replace('<IsTruncated>false', '<IsTruncated>true'));
  });
}

/** Lets half a piece through and breaks the connection. */
function cutting(answer: ServerResponse): Writable {
  return new Writable({
    write: (bytes: Buffer, _encoding, done) => {
      answer.write(bytes.subarray(0, Math.ceil(bytes.length / 2)), () => answer.destroy());
      done();
    },
  });
}

function slowing(answer: ServerResponse): Writable {
  return new Writable({
    highWaterMark: 1,
    write: (bytes: Buffer, _encoding, done) => {
      answer.write(bytes);
      setTimeout(done, 5);
    },
    final: (done) => {
      answer.end();
      done();
    },
  });
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
