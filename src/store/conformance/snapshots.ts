/** What a snapshot promises: everything of one moment, whatever is written meanwhile; and that a database filled from it is the same. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../kernel/clock.ts';
import {
  digestTables,
  type RowLines,
  type Snapshot,
  type SnapshotPart,
  type TableTotal,
} from '../snapshot.ts';
import type { Harness, OpenedStore } from './harness.ts';
import { NOW, newId, userRow } from './rows.ts';
import { atOnce, World } from './world.ts';

/** On a machine that is busy with the rest of the suite. */
const PATIENCE = 60_000;
const request = { clock: systemClock };

export function describeSnapshots({ open }: Harness): void {
  describe('snapshots', () => {
    let opened: OpenedStore;
    const workers = new Set<Worker>();
    const watch = (worker: Worker) => {
      if (worker.threadName !== 'snapshot') return;
      workers.add(worker);
      worker.once('exit', () => workers.delete(worker));
    };
    beforeAll(async () => {
      opened = await open();
      process.on('worker', watch);
    });
    afterAll(async () => {
      process.off('worker', watch);
      await opened.dispose();
    });

    const read = () => opened.readSnapshot(request);
    const nothingIsLeft = async (of: OpenedStore = opened) => {
      // PostgreSQL takes a moment to know that a connection was cut off.
      const left = async () => [...(await of.leftBySnapshots()), ...Array.from(workers, () => 'a thread')];
      await expect.poll(left, { timeout: 5000, interval: 5 }).toEqual([]);
    };

    it('has all of what was acknowledged before, and of each unit of work all or nothing', {
      timeout: PATIENCE,
    }, async () => {
      await using writing = new Writing(opened);
      for (let round = 0; round < 20; round++) {
        const before = new Set(writing.acknowledged);
        await using snapshot = await read();
        const after = writing.begun;
        const { rows, totals } = await collect(snapshot);

        const users = ids(rows, 'users', 'id');
        expect(ids(rows, 'passwords', 'user_id')).toEqual(users);
        expect(before.difference(users)).toEqual(new Set());
        expect(users.size).toBeLessThanOrEqual(after);
        const chain = (rows.get('audit_events') ?? []).map(({ sequence, hash }) => ({ sequence, hash }));
        expect(chain.map(({ sequence }) => sequence)).toEqual(chain.map((_, index) => index + 1));
        expect(chain.at(-1) ?? { sequence: 0, hash: '' }).toEqual(snapshot.head.audit);
        expect(totals.map(({ table, rows }) => [table, rows])).toEqual(
          snapshot.head.tables.map(({ name, rows }) => [name, rows]),
        );
      }
      expect(writing.acknowledged.size).toBeGreaterThan(100);
    });

    it('says what it is, and lets go of everything when it has been read', async () => {
      const from = Date.now();
      const { head, totals } = await collect(await read());
      expect(head.deployment).toEqual(await opened.store.deployment.get({}));
      expect(head.steps.map(({ version }) => version)).toEqual(head.steps.map((_, index) => index + 1));
      expect(head.from).toBeGreaterThanOrEqual(from);
      expect(head.to).toBeGreaterThanOrEqual(head.from);
      expect(Date.now()).toBeGreaterThanOrEqual(head.to);
      expect(head.tables.map(({ name }) => name)).toEqual(totals.map(({ table }) => table));
      await nothingIsLeft();
    });

    it('reads only the tables that are asked for', async () => {
      const { rows, totals } = await collect(
        await opened.readSnapshot({ ...request, tables: ['deployment', 'users'] }),
      );
      expect(totals.map(({ table }) => table)).toEqual(['deployment', 'users']);
      expect([...rows.keys()]).toEqual(['deployment', 'users']);
      await expect(opened.readSnapshot({ ...request, tables: ['nowhere'] })).rejects.toMatchObject({
        detail: expect.stringContaining('nowhere'),
      });
      await nothingIsLeft();
    });

    describe('ends when nobody wants it any more', () => {
      beforeEach(async () => {
        await atOnce(300, () => new World(opened.store).user({ profile_json: 'x'.repeat(20_000) }));
      });

      it('when it is disposed of unread, or after a part of it', async () => {
        await (await read())[Symbol.asyncDispose]();
        await nothingIsLeft();
        for await (const part of (await read()).parts()) if (part.kind === 'rows') break;
        await nothingIsLeft();
      });

      it('when it is cancelled, at any time', { timeout: PATIENCE }, async () => {
        let interrupted = 0;
        for (const moment of [1, 40, 80, 120, 160]) {
          const signal = AbortSignal.timeout(moment);
          const reading = async () => collect(await opened.readSnapshot({ ...request, signal }));
          await reading().catch((error) => {
            expect(error).toMatchObject({ code: 'interrupted' });
            interrupted += 1;
          });
          await nothingIsLeft();
        }
        expect(interrupted).toBeGreaterThan(0);
      });

      it('before it began', async () => {
        const reading = opened.readSnapshot({ ...request, signal: AbortSignal.abort() });
        await expect(reading).rejects.toMatchObject({ code: 'interrupted' });
        await nothingIsLeft();
      });
    });

    describe('filling a database', () => {
      let source: { head: Snapshot['head']; parts: readonly SnapshotPart[]; totals: readonly TableTotal[] };
      beforeAll(async () => {
        await atOnce(50, () =>
          new World(opened.store).user({ username: `"\\\n\u0001\u2028Zoë🦊${newId('u')}` }),
        );
        await new World(opened.store).granted();
        await using snapshot = await read();
        const parts: SnapshotPart[] = [];
        for await (const part of snapshot.parts()) parts.push(part);
        source = { head: snapshot.head, parts, totals: totalsOf(parts) };
      });

      const fill = (target: OpenedStore, parts: SnapshotLoadParts = source.parts, signal?: AbortSignal) =>
        target.loadSnapshot({ steps: source.head.steps, parts, ...(signal && { signal }) });
      /** An empty database that nobody has open. */
      const emptyOne = async () => {
        const target = await open();
        await target.store.close();
        return target;
      };
      const totals = async (of: OpenedStore) => digestTables(await of.readSnapshot(request));

      it('makes an equal one', async () => {
        const target = await emptyOne();
        expect(await fill(target)).toEqual(source.totals);
        expect(await totals(target)).toEqual(source.totals);
        await nothingIsLeft(target);
        await target.dispose();
      });

      it('refuses one that holds rows, and leaves it alone', async () => {
        const target = await open();
        await new World(target.store).user();
        await target.store.close();
        const before = await totals(target);
        await expect(fill(target)).rejects.toMatchObject({
          code: 'refused',
          message: expect.stringContaining('users'),
        });
        expect(await totals(target)).toEqual(before);
        await target.dispose();
      });

      it('refuses rows of another schema', async () => {
        const target = await emptyOne();
        const steps = source.head.steps.slice(0, -1);
        await expect(target.loadSnapshot({ steps, parts: source.parts })).rejects.toMatchObject({
          code: 'refused',
        });
        const edited = source.head.steps.map((step) => ({ ...step, checksum: 'another' }));
        await expect(target.loadSnapshot({ steps: edited, parts: source.parts })).rejects.toMatchObject({
          code: 'refused',
        });
        await target.dispose();
      });

      it('puts in all or nothing', { timeout: PATIENCE }, async () => {
        const target = await emptyOne();
        const before = await totals(target);
        for (const [name, damaged] of Object.entries(damagedParts(source.parts))) {
          await expect(fill(target, damaged), name).rejects.toMatchObject({ code: 'invalid_input' });
        }
        const cut = new Error('the archive is cut short');
        const failing = upTo(source.parts, 5, () => {
          throw cut;
        });
        await expect(fill(target, failing)).rejects.toBe(cut);
        const stop = new AbortController();
        const aborting = upTo(source.parts, 5, () => stop.abort());
        await expect(fill(target, aborting, stop.signal)).rejects.toMatchObject({ code: 'interrupted' });
        await nothingIsLeft(target);
        expect(await totals(target)).toEqual(before);
        expect(await fill(target)).toEqual(source.totals);
        await target.dispose();
      });
    });
  });
}

type SnapshotLoadParts = Parameters<OpenedStore['loadSnapshot']>[0]['parts'];
type Rows = ReadonlyMap<string, readonly Record<string, unknown>[]>;

const event = {
  at: NOW,
  action: 'test.done',
  actor: 'suite',
  client_id: null,
  user_id: null,
  ip: null,
  detail_json: '{}',
};

/** Users with their passwords, and events of the audit chain, a few hundred a second. */
class Writing implements AsyncDisposable {
  readonly acknowledged = new Set<string>();
  begun = 0;
  readonly #done: Promise<unknown>;
  #stopped = false;

  constructor({ store }: OpenedStore) {
    const writers = Array.from({ length: 3 }, async () => {
      while (!this.#stopped) {
        const user = userRow();
        this.begun += 1;
        await store.users.create({ user, password_hash: 'hash' });
        this.acknowledged.add(user.id);
        await store.audit.append({ event });
        await sleep(2);
      }
    });
    this.#done = Promise.all(writers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }
}

/** Reads it to its end, and checks that each total is that of the lines before it. */
async function collect(snapshot: Snapshot) {
  const rows = new Map<string, Record<string, unknown>[]>();
  const totals: TableTotal[] = [];
  let lines: string[] = [];
  for await (const part of snapshot.parts()) {
    if (part.kind === 'rows') {
      const text = Buffer.from(part.bytes).toString();
      const found = text.slice(0, -1).split('\n');
      expect(found).toHaveLength(part.rows);
      lines.push(...found);
      continue;
    }
    const parsed = lines.map((line) => JSON.parse(line));
    expect(lines).toEqual(parsed.map((row) => JSON.stringify(row)));
    const digest = createHash('sha256')
      .update(lines.map((line) => `${line}\n`).join(''))
      .digest('hex');
    expect({ rows: part.rows, digest: part.digest }).toEqual({ rows: lines.length, digest });
    if (lines.length > 0) rows.set(part.table, parsed);
    totals.push({ table: part.table, rows: part.rows, digest: part.digest });
    lines = [];
  }
  expect(lines).toEqual([]);
  return { head: snapshot.head, rows: rows as Rows, totals };
}

function ids(rows: Rows, table: string, column: string): Set<unknown> {
  return new Set(rows.get(table)?.map((row) => row[column]));
}

function totalsOf(parts: readonly SnapshotPart[]): TableTotal[] {
  return parts.flatMap((part) =>
    part.kind === 'total' ? [{ table: part.table, rows: part.rows, digest: part.digest }] : [],
  );
}

/** The same parts with one thing wrong, each in another way. */
function damagedParts(parts: readonly SnapshotPart[]): Record<string, readonly SnapshotPart[]> {
  const isRowsOf = (table: string) => (part: SnapshotPart) => part.kind === 'rows' && part.table === table;
  const isEndOf = (table: string) => (part: SnapshotPart) => part.kind === 'total' && part.table === table;
  const isUsers = isRowsOf('users');
  const last = parts.at(-1) as SnapshotPart;
  return {
    'a changed letter': parts.map((part) =>
      isUsers(part) ? linesOf('users', textOf(part).replace('example', 'exbmple')) : part,
    ),
    'a missing table': parts.filter(({ table }) => table !== 'sessions'),
    'a table twice': [...parts, ...parts.filter(({ table }) => table === 'users')],
    'a table without its end': parts.filter((part) => !isEndOf('users')(part)),
    'a last table without its end': [...parts.slice(0, -1), linesOf(last.table, '')],
    'rows that are missing': parts.filter((part) => !isUsers(part)),
    'another count of lines': parts.map(
      (part) => (isUsers(part) ? { ...part, rows: 1 } : part) as SnapshotPart,
    ),
    'a line that is cut': parts.map((part) =>
      isUsers(part) ? linesOf('users', textOf(part).slice(0, -1)) : part,
    ),
    'rows that point at none': withLines(parts, 'users', () => ''),
    'a key twice': withLines(parts, 'passwords', (text) => text + text.slice(0, text.indexOf('\n') + 1)),
    'another schema': withLines(parts, 'schema_migrations', (text) => text.slice(text.indexOf('\n') + 1)),
    'a column too few': withLines(parts, 'deployment', (text) => text.replace('"restore_epoch"', '"other"')),
    'a text for a number': withLines(parts, 'deployment', (text) =>
      text.replace(/"restore_epoch":\d+/, '"restore_epoch":"x"'),
    ),
  };
}

/** Other lines for a table, with counts and digests that fit them. */
function withLines(
  parts: readonly SnapshotPart[],
  table: string,
  edited: (text: string) => string,
): readonly SnapshotPart[] {
  const old = parts.filter((part) => part.table === table);
  const text = edited(old.map(textOf).join(''));
  const lines = linesOf(table, text);
  const digest = createHash('sha256').update(text).digest('hex');
  const made: SnapshotPart[] = [lines, { kind: 'total', table, rows: lines.rows, digest }];
  return parts.flatMap((part) => (part === old[0] ? made : part.table === table ? [] : [part]));
}

function linesOf(table: string, text: string): RowLines {
  return { kind: 'rows', table, rows: text.split('\n').length - 1, bytes: Buffer.from(text) };
}

function textOf(part: SnapshotPart): string {
  return part.kind === 'rows' ? Buffer.from(part.bytes).toString() : '';
}

/** Some of the parts, then something happens. */
async function* upTo(
  parts: readonly SnapshotPart[],
  count: number,
  happens: () => void,
): AsyncGenerator<SnapshotPart> {
  yield* parts.slice(0, count);
  happens();
  yield* parts.slice(count);
}
