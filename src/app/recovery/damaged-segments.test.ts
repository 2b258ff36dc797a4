import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { engines } from '../../../test/setup/engines.ts';
import { makeSigner } from '../../archive/archive.test-kit.ts';
import { surveyLog, windowRead } from '../../ops/recovery/survey.ts';
import { NO_POSITION, POSITION } from '../../store/change-frame.ts';
import { World } from '../../store/conformance/world.ts';
import { readRevocations } from './log-source.ts';
import { Logged } from './logged.test-kit.ts';

const here = engines.some(({ name }) => name === 'sqlite');

/** What becomes of a segment: whole it is in none of them. */
const DAMAGES: Readonly<Record<string, (file: string) => void>> = {
  'three bytes of its body': (file) => overwrite(file, 0.9),
  'three bytes of what it says of itself': (file) => overwrite(file, 0.1),
  'its end': (file) => writeFileSync(file, readFileSync(file).subarray(0, -3)),
  'all of it': (file) => rmSync(file),
};

describe.skipIf(!here)('access that was taken away after a gap in the log (needs the sqlite engine)', () => {
  it.each(Object.keys(DAMAGES))('is known where an earlier segment lacks %s', async (damage) => {
    await using logged = await new Logged().open();
    const users = await removeOneByOne(logged, 4);
    DAMAGES[damage]?.(segment(logged, 1));
    const { rows, complete, faults } = await journal(logged, 0);
    expect(rows.map(({ user_id }) => user_id)).toEqual(users.filter((_, index) => index !== 1));
    expect(complete).toBe(false);
    expect(faults.join()).toMatch(/are missing or cannot be read/);
    expect(new Set(faults).size).toBe(faults.length);
  });

  it('is known beyond several gaps, and where the spool of a killed server alone has it', async () => {
    await using logged = await new Logged().open();
    const users = await removeOneByOne(logged, 6);
    for (const index of [1, 2, 4]) overwrite(segment(logged, index), 0.9);
    const held = [0, 3, 5].map((index) => users[index]);
    expect((await journal(logged, 0)).rows.map(({ user_id }) => user_id)).toEqual(held);
    const { user } = await new World(logged.store).granted();
    await logged.store.users.remove({ id: user.id, now: logged.now });
    rmSync(segment(logged, 5));
    const { rows } = await journal(logged, 0, logged.spool);
    expect(rows.map(({ user_id }) => user_id)).toEqual(expect.arrayContaining([user.id]));
  });

  it('is taken from no segment that is not signed by who is trusted', async () => {
    await using logged = await new Logged().open();
    const users = await removeOneByOne(logged, 3);
    overwrite(segment(logged, 1), 0.9);
    // The signature is good, and nobody's: as one would have it who writes on the target.
    const stranger = { ...logged.reading(), trust: [makeSigner().publicKey] };
    const scratch = mkdtempSync(path.join(logged.folder, 'scratch-'));
    expect((await readRevocations(stranger, { after: 0, scratch })).rows).toEqual([]);
    expect((await journal(logged, 0)).rows.map(({ user_id }) => user_id)).toEqual([users[0], users[2]]);
  });

  it('is known where the chain goes on beyond what its head tells, and another follows', async () => {
    await using logged = await new Logged().open();
    await removeOneByOne(logged, 1);
    const head = readFileSync(headFile(logged));
    const after = logged.now;
    const { chain = '' } = logged.position ?? {};
    const [, late] = [headFile(logged), ...(await removeOneByOne(logged, 1))];
    // Killed, or found to be damaged: nobody has written the head since.
    writeFileSync(headFile(logged), head);
    const setting = { name: POSITION, value: NO_POSITION, updated_at: logged.now };
    await logged.store.settings.put({ setting, if_absent: false });
    await logged.live(1);
    await logged.shipAll();
    const next = logged.position?.chain ?? '';
    expect(next > chain).toBe(true);
    rmSync(path.join(logged.shelfFolders[0] ?? '', `log.${next}.000000000000-000000000000.seg`));
    const { rows, complete } = await journal(logged, after + 500);
    expect(rows.map(({ user_id }) => user_id)).toContain(late);
    expect(complete).toBe(false);
  });

  it('is known where it began a chain that no target has yet', async () => {
    await using logged = await new Logged().open();
    await removeOneByOne(logged, 1);
    const setting = { name: POSITION, value: NO_POSITION, updated_at: logged.now };
    await logged.store.settings.put({ setting, if_absent: false });
    const { user } = await new World(logged.store).granted();
    await logged.store.users.remove({ id: user.id, now: logged.now });
    const { rows, complete } = await journal(logged, 0, logged.spool);
    expect(rows.map(({ user_id }) => user_id)).toContain(user.id);
    // What was taken away before that chain began is not told by it.
    expect(complete).toBe(false);
  });
});

describe.skipIf(!here)('the window that was read (needs the sqlite engine)', () => {
  it('is that of the names while all is whole, and tells the last batch', async () => {
    await using logged = await new Logged({ seed: 61 }).open();
    const backup = await backupThenCommits(logged, 4);
    const { chain, batch: last } = logged.position ?? {};
    expect(await windowRead(logged.reading(), backup)).toEqual({
      from: backup.recoveryPoint.to,
      to: logged.now,
      chain,
      last,
      faults: [],
    });
  });

  it.each(Object.keys(DAMAGES))('ends before a segment that lacks %s, as a restore does', async (damage) => {
    await using logged = await new Logged({ seed: 63 }).open();
    const backup = await backupThenCommits(logged, 5);
    DAMAGES[damage]?.(segment(logged, -2));
    const window = await windowRead(logged.reading(), backup);
    expect(window?.faults.join()).toMatch(/are missing or cannot be read/);
    const { base } = backup;
    const to = window?.to ?? 0;
    expect(to).toBeGreaterThan(backup.recoveryPoint.to);
    expect((await logged.restore(base, to)).replayed).toMatchObject({ complete: true });
    expect((await logged.restore(base, to + 1)).replayed).toMatchObject({ complete: false });
    expect((await logged.restore(base, 'end')).replayed).toMatchObject({ complete: false, reached: to + 1 });
  });

  it('goes by another target that has the segment whole', async () => {
    await using logged = await new Logged({ seed: 65, shelves: 2 }).open();
    const backup = await backupThenCommits(logged, 4);
    overwrite(segment(logged, -2), 0.9);
    expect(await windowRead(logged.reading(), backup)).toMatchObject({ to: logged.now });
  });

  it('is not ended by what is damaged before the backup, and is none where the first one after it is', async () => {
    await using logged = await new Logged({ seed: 67 }).open();
    await backupThenCommits(logged, 3);
    const later = await backupThenCommits(logged, 3);
    overwrite(segment(logged, 1), 0.1);
    rmSync(segment(logged, 2));
    expect(await windowRead(logged.reading(), later)).toMatchObject({ to: logged.now, faults: [] });
    const { replayed } = await logged.restore(later.base, logged.now);
    expect(replayed).toMatchObject({ complete: true });
    for (const index of [-1, -2, -3]) overwrite(segment(logged, index), 0.9);
    expect(await windowRead(logged.reading(), later)).toBeUndefined();
    expect((await surveyLog(logged.reading())).length).toBe(1);
  });
});

/** Each with what it takes along, in a segment of its own; who they were. */
async function removeOneByOne(logged: Logged, count: number): Promise<readonly string[]> {
  const users: string[] = [];
  for (let n = 0; n < count; n++) {
    const { user } = await new World(logged.store).granted();
    logged.now += 1000;
    await logged.store.users.remove({ id: user.id, now: logged.now });
    await logged.shipAll();
    users.push(user.id);
  }
  return users;
}

/** A backup, and so many segments after it. */
async function backupThenCommits(logged: Logged, count: number) {
  await logged.live(1);
  await logged.shipAll();
  logged.now += 1000;
  const base = logged.base();
  const recoveryPoint = { from: logged.now, to: logged.now };
  for (let n = 0; n < count; n++) {
    logged.now += 1000;
    await logged.live(1);
    await logged.shipAll();
  }
  return { epoch: 0, recoveryPoint, base };
}

function journal(logged: Logged, after: number, spool?: string) {
  const scratch = mkdtempSync(path.join(logged.folder, 'scratch-'));
  return readRevocations({ ...logged.reading(), ...(spool !== undefined && { spool }) }, { after, scratch });
}

/** The file of one of them, counted from the first, or back from the end. */
function segment(logged: Logged, index: number): string {
  return path.join(logged.shelfFolders[0] ?? '', logged.segments().at(index) ?? '');
}

function headFile(logged: Logged): string {
  return path.join(logged.shelfFolders[0] ?? '', `log.${logged.position?.chain}.head`);
}

/** Three bytes, at that part of the length. */
function overwrite(file: string, part: number): void {
  const bytes = readFileSync(file);
  const at = Math.floor(bytes.length * part);
  for (let n = at; n < at + 3; n++) bytes[n] = (bytes[n] ?? 0) ^ 0x55;
  writeFileSync(file, bytes);
}
