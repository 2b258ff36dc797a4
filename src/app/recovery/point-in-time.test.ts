import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { systemRandom } from '../../kernel/random.ts';
import { type Base, digestOf, Logged } from './logged.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');
const LONG = 120_000;

describe.skipIf(!here)('point in time on SQLite (needs the sqlite engine)', () => {
  it('is exact for 100 random moments, from any base', { timeout: LONG }, async () => {
    await using logged = await new Logged({ seed: 7 }).open();
    const bases = await liveAndShip(logged, 4, 30);
    await expectExact(logged, bases, 100);
  });

  it('is exact after compaction, of which nothing smaller is left', { timeout: LONG }, async () => {
    await using logged = await new Logged({ seed: 11, limits: { longestFile: 20_000 } }).open();
    const pace = { look: 10, mergeAge: 20_000, mergeSize: 64_000 };
    const bases = await liveAndShip(logged, 4, 40, pace);
    logged.now += 100_000;
    await logged.shipAll(pace);
    expect(logged.segments().length).toBeGreaterThan(2);
    expect(logged.segments().filter((name) => !name.includes('.hour.'))).toEqual([]);
    await expectExact(logged, bases, 30);
  });

  it('is exact with what a killed process had committed and not shipped', { timeout: LONG }, async () => {
    await using logged = await new Logged({ seed: 13 }).open();
    await logged.live(2);
    const base = logged.base();
    await logged.live(10);
    await logged.close();
    await usersOfKilledProcess(logged, 40);
    logged.note();
    const { chain } = logged.position ?? {};
    await logged.open();
    await logged.live(5);
    expect(logged.position?.chain).toBe(chain);
    await logged.shipAll();
    await expectExact(logged, [base], 20);
    expect((await logged.restore(base, 'end')).digest).toBe(digestOf(logged.path));
  });

  it('goes on after a restore in a chain of its own, and both times can be reached', {
    timeout: LONG,
  }, async () => {
    await using logged = await new Logged({ seed: 17 }).open();
    const bases = await liveAndShip(logged, 2, 20);
    const [first] = bases as [Base];
    const former = logged.position?.chain;
    const middle = first.at + Math.floor((logged.now - first.at) / 2);
    const before = [...logged.history];
    const end = logged.now;
    const restored = await logged.restore(first, middle);
    await logged.close();
    for (const suffix of ['', '-wal', '-shm']) rmSync(logged.path + suffix, { force: true });
    copyFileSync(restored.file, logged.path);

    await logged.open();
    logged.now += 1000;
    await logged.live(1);
    expect(logged.position?.chain).not.toBe(former);
    const later = await liveAndShip(logged, 2, 20);
    await expectExact(logged, later, 10);
    // The old time is there still, to its very end.
    const old = await logged.restore(first, end);
    expect(old.replayed).toMatchObject({ complete: true, reached: end });
    expect(old.digest).toBe(before.findLast(({ at }) => at <= end)?.digest);
  });

  it('takes the keys that open backups', { timeout: LONG }, async () => {
    const identity = makeIdentity(systemRandom);
    const encryption = { kind: 'age', recipients: [recipientOf(identity)] } as const;
    await using logged = await new Logged({ seed: 19, encryption }).open();
    const [base] = (await liveAndShip(logged, 1, 10)) as [Base];
    const opened = await logged.restore(base, 'end', { identities: [identity] });
    expect(opened.digest).toBe(digestOf(logged.path));
    const wrong = await logged.restore(base, 'end', { identities: [makeIdentity(systemRandom)] });
    expect(wrong.replayed).toMatchObject({ batches: 0, complete: false });
    expect(wrong.replayed.faults.join()).toContain('None of the given identities opens');
  });

  it('asks a passphrase once, for the key of the chain', { timeout: LONG }, async () => {
    const passphrase = 'correct horse battery staple';
    const encryption = { kind: 'passphrase', passphrase, work: 10 } as const;
    await using logged = await new Logged({ seed: 23, encryption }).open();
    const [base] = (await liveAndShip(logged, 1, 10)) as [Base];
    const opened = await logged.restore(base, 'end', { passphrases: [passphrase] });
    expect(opened.digest).toBe(digestOf(logged.path));
    const wrong = await logged.restore(base, 'end', { passphrases: ['something else entirely'] });
    expect(wrong.replayed).toMatchObject({ batches: 0, complete: false });
  });

  it('says that a base does not fit, and applies nothing of that batch', { timeout: LONG }, async () => {
    await using logged = await new Logged({ seed: 29 }).open();
    const [base] = (await liveAndShip(logged, 1, 10)) as [Base];
    {
      using db = new DatabaseSync(base.file);
      db.exec("pragma foreign_keys = off; delete from users; delete from settings where name like 's%'");
      db.exec(
        `update settings set value = '${JSON.stringify({ ...logged.position, batch: 0 })}' where name = 'recovery.position'`,
      );
    }
    await expect(logged.restore(base, 'end')).rejects.toMatchObject({ code: 'failed' });
  });
});

/** Bases at the beginning of so many parts; the last part ends now. */
async function liveAndShip(
  logged: Logged,
  parts: number,
  commits: number,
  pace: Parameters<Logged['ship']>[0] = {},
): Promise<readonly Base[]> {
  const bases: Base[] = [];
  await logged.live(3);
  for (let part = 0; part < parts; part++) {
    bases.push(logged.base());
    await using _shipper = logged.ship(pace);
    await logged.live(commits);
  }
  return bases;
}

/** Restores to random moments, and compares with the oracle. */
async function expectExact(logged: Logged, bases: readonly Base[], times: number): Promise<void> {
  const end = logged.now;
  for (let n = 0; n < times; n++) {
    const base = bases[logged.chance(bases.length)] as Base;
    const to = base.at + logged.chance(end - base.at + 1);
    const { replayed, digest } = await logged.restore(base, to);
    expect(replayed).toMatchObject({ complete: true, reached: to, faults: [] });
    expect(digest, `to ${to}, after ${replayed.batches} batches`).toBe(logged.digestAt(to));
  }
}

/** A process that adds users one after the other, and is killed while it does; the last that it was told of. */
async function usersOfKilledProcess(logged: Logged, users: number): Promise<number> {
  const script = path.join(import.meta.dirname, 'adds-users.test-kit.ts');
  const child = spawn(process.execPath, [script, logged.path, String(logged.now)]);
  const ended = once(child, 'close');
  let last = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    if (last === users) child.kill('SIGKILL');
  }
  await ended;
  return last;
}
