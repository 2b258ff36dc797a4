// Owns the other end of a push: an HTTP server that takes OTLP, and an own reader of its protobuf (opentelemetry-proto 1.x,
// collector/metrics/v1), so that the numbers are read by somebody else's rules than they were written.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import type { Sample } from './scrape.ts';

export interface Push {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly resource: Readonly<Record<string, string>>;
  readonly metrics: readonly PushedMetric[];
}

export interface PushedMetric {
  readonly name: string;
  readonly unit: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  /** As Prometheus would have them: a histogram is its steps added up, its sum and its count. */
  readonly samples: readonly Sample[];
}

export interface Collector extends AsyncDisposable {
  readonly endpoint: string;
  readonly pushes: readonly Push[];
  /** Resolves when there have been so many pushes. */
  received(count: number): Promise<void>;
}

/** @param status what pushes are answered */
export async function startCollector(status = 200): Promise<Collector> {
  const pushes: Push[] = [];
  const server = createServer(async (request, response) => {
    const body = await buffer(request);
    const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    pushes.push({ path: request.url ?? '', headers: request.headers, ...readPush(bytes) });
    response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end();
    server.emit('push');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pushes,
    async received(count) {
      while (pushes.length < count) await once(server, 'push');
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The fields of a message by number: bytes, or numbers as they stand on the wire. */
type Fields = Map<number, (Buffer | bigint)[]>;

function readFields(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number) => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    if (![0, 1, 2, 5].includes(wire)) throw new Error(`wire type ${wire}`);
    const value = wire === 0 ? varint() : take(wire === 1 ? 8 : wire === 5 ? 4 : Number(varint()));
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, number: number) =>
  (fields.get(number) ?? []).map((bytes) => readFields(bytes as Buffer));
const bytesOf = (fields: Fields, number: number): Buffer => {
  const [bytes] = fields.get(number) ?? [];
  if (!Buffer.isBuffer(bytes)) throw new Error(`no field ${number}`);
  return bytes;
};
const text = (fields: Fields, number: number) =>
  fields.has(number) ? bytesOf(fields, number).toString() : '';
const double = (fields: Fields, number: number) => bytesOf(fields, number).readDoubleLE();

function readPush(bytes: Buffer): Pick<Push, 'resource' | 'metrics'> {
  const [resourceMetrics] = messages(readFields(bytes), 1);
  if (!resourceMetrics) throw new Error('an empty push');
  const [resource = new Map()] = messages(resourceMetrics, 1);
  const metrics = messages(resourceMetrics, 2).flatMap((scope) => messages(scope, 2).map(readMetric));
  return { resource: readAttributes(resource, 1), metrics };
}

function readMetric(metric: Fields): PushedMetric {
  const name = text(metric, 1);
  const unit = text(metric, 3);
  const [gauge] = messages(metric, 5);
  const [sum] = messages(metric, 7);
  const [histogram] = messages(metric, 9);
  const values = (data: Fields) =>
    messages(data, 1).map((point) => ({ name, labels: readAttributes(point, 7), value: double(point, 4) }));
  if (gauge) return { name, unit, kind: 'gauge', samples: values(gauge) };
  if (sum) {
    const isCumulative = sum.get(2)?.[0] === 2n;
    const isMonotonic = sum.get(3)?.[0] === 1n;
    if (!isCumulative || !isMonotonic) throw new Error(`${name} is no counter`);
    return { name, unit, kind: 'sum', samples: values(sum) };
  }
  if (!histogram) throw new Error(`${name} has no data`);
  const samples = messages(histogram, 1).flatMap((point) => readSteps(name, point));
  return { name, unit, kind: 'histogram', samples };
}

function readSteps(name: string, point: Fields): Sample[] {
  const labels = readAttributes(point, 9);
  const counts = packed(point, 6).map((bytes) => Number(bytes.readBigUInt64LE()));
  const bounds = packed(point, 7).map((bytes) => bytes.readDoubleLE());
  let below = 0;
  const buckets = counts.map((count, step) => {
    below += count;
    const le = bounds[step] === undefined ? '+Inf' : String(bounds[step]);
    return { name: `${name}_bucket`, labels: { ...labels, le }, value: below };
  });
  const count = Number(bytesOf(point, 4).readBigUInt64LE());
  return [
    ...buckets,
    { name: `${name}_sum`, labels, value: double(point, 5) },
    { name: `${name}_count`, labels, value: count },
  ];
}

/** Numbers of eight bytes each in one field. */
function packed(fields: Fields, number: number): Buffer[] {
  const bytes = Buffer.concat((fields.get(number) ?? []) as Buffer[]);
  return Array.from({ length: bytes.length / 8 }, (_, index) => bytes.subarray(index * 8, index * 8 + 8));
}

function readAttributes(fields: Fields, number: number): Record<string, string> {
  return Object.fromEntries(
    messages(fields, number).map((pair) => {
      const [value = new Map()] = messages(pair, 2);
      return [text(pair, 1), text(value, 1)];
    }),
  );
}
