import { readFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engines, type FreshStorage, freshStorage } from '../../../test/setup/engines.ts';
import { migrateSchema, openStore } from '../../app/open-store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { clientRow, issuanceRow, NOW, secretRow } from '../conformance/rows.ts';
import { World } from '../conformance/world.ts';
import { connectWriter } from './connect.ts';
import { GroupCommit, type Job } from './group-commit.ts';

let fresh: FreshStorage;
let path: string;

beforeEach(async () => {
  fresh = await freshStorage({ name: 'sqlite' });
  if (fresh.driver !== 'sqlite') throw new Error(`asked for sqlite, got ${fresh.driver}`);
  path = fresh.path;
});
afterEach(() => fresh.dispose());

async function migrated(wal: boolean) {
  const sqlite = { path, wal };
  await migrateSchema({ driver: 'sqlite', sqlite }, { clock: systemClock, random: systemRandom });
  return sqlite;
}

const here = engines.some((engine) => engine.name === 'sqlite');

describe.skipIf(!here)('group commit (needs the sqlite engine)', () => {
  it('commits many concurrent verbs together, and a failing one undoes none of its neighbours', async () => {
    const store = await openStore({ driver: 'sqlite', sqlite: await migrated(true) }, silentLog);
    const client_id = (await new World(store).client()).id;
    const rows = Array.from({ length: 200 }, () => issuanceRow({ client_id }));
    const twins = rows.slice(0, 20);
    const before = await commitsIn(`${path}-wal`);
    const answers = await Promise.allSettled(
      [...rows, ...twins].map((issuance) => store.issuances.record({ issuance })),
    );
    expect((await commitsIn(`${path}-wal`)) - before).toBeLessThanOrEqual(2);
    expect(answers.slice(0, 200).every((answer) => answer.status === 'fulfilled')).toBe(true);
    for (const answer of answers.slice(200)) expect(answer).toMatchObject({ reason: { code: 'conflict' } });
    for (const { jti } of rows) expect(await store.issuances.findLive({ jti, now: NOW })).toBeDefined();
    await store.close();
  });

  it('undoes all of a verb that fails after it wrote', async () => {
    const { commits, count } = await directly(true);
    const jobs: Job[] = [
      record('first'),
      { family: 'clients', verb: 'create', input: { client: clientRow(), secret: secretRow('nobody') } },
      { family: 'no such', verb: 'verb', input: {} },
      record('last'),
    ];
    const answers = await commits.run({ jobs, sentAt: NOW });
    expect(answers.map((answer) => ('failure' in answer ? answer.failure.code : 'done'))).toEqual([
      'done',
      'conflict',
      'internal',
      'done',
    ]);
    expect(count('issuances')).toBe(2);
    expect(count('clients')).toBe(0);
  });

  it('answers all with `unavailable` when the commit fails; none has happened, and the next batch works', async () => {
    const { commits, count, db } = await directly(false);
    db.exec('pragma busy_timeout = 0');
    // Without a write-ahead log a commit must wait for whoever reads.
    const reader = new DatabaseSync(path);
    reader.exec('begin');
    reader.prepare('select count(*) from issuances').get();
    const answers = await commits.run({ jobs: [record('one'), record('two')], sentAt: NOW });
    expect(answers).toMatchObject([
      { failure: { code: 'unavailable' } },
      { failure: { code: 'unavailable' } },
    ]);
    reader.close();
    expect(count('issuances')).toBe(0);
    expect(await commits.run({ jobs: [record('one')], sentAt: NOW })).toEqual([{ value: undefined }]);
    expect(count('issuances')).toBe(1);
  });

  it('answers `unavailable` on a full disk and works again when there is room', async () => {
    const { commits, count, db } = await directly(true);
    const { page_count } = db.prepare('pragma page_count').get() as { page_count: number };
    db.exec(`pragma max_page_count = ${page_count + 2}`);
    const large = (jti: string) => record(jti, 'x'.repeat(20_000));
    const answers = await commits.run({ jobs: [large('one'), large('two')], sentAt: NOW });
    for (const answer of answers)
      expect(answer).toMatchObject({
        failure: { code: 'unavailable', sentence: 'There is no room left for the database.' },
      });
    expect(count('issuances')).toBe(0);
    db.exec('pragma max_page_count = 1000000');
    expect(await commits.run({ jobs: [large('one'), large('two')], sentAt: NOW })).toEqual([
      { value: undefined },
      { value: undefined },
    ]);
    expect(count('issuances')).toBe(2);
  });
});

/** The writer thread's work, done here. */
async function directly(wal: boolean) {
  const db = connectWriter(await migrated(wal));
  const count = (table: string) => db.prepare(`select count(*) as n from ${table}`).get()?.['n'];
  return { db, commits: new GroupCommit(db), count };
}

function record(jti: string, client_id = 'cli'): Job {
  return { family: 'issuances', verb: 'record', input: { issuance: issuanceRow({ jti, client_id }) } };
}

/** How many transactions a write-ahead log holds: frames that carry the size of the database (sqlite.org/fileformat2 4.1). */
async function commitsIn(log: string): Promise<number> {
  const bytes = await readFile(log);
  const frame = 24 + bytes.readUInt32BE(8);
  let commits = 0;
  for (let at = 32; at + frame <= bytes.length; at += frame) {
    const ofThisLog = bytes.subarray(at + 8, at + 16).equals(bytes.subarray(16, 24));
    if (ofThisLog && bytes.readUInt32BE(at + 4) !== 0) commits += 1;
  }
  return commits;
}
