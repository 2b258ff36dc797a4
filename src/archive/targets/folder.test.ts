import * as nodeDisk from 'node:fs/promises';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemRandom } from '../../kernel/random.ts';
import { collect, gather } from '../archive.test-kit.ts';
import { readHolding } from '../catalog.ts';
import { checkArchive } from '../reader.ts';
import { type Disk, Folder } from './folder.ts';
import { idOf, listed, publish, signer } from './publish.test-kit.ts';
import { copyBackup, makeTarget, type Target } from './target.ts';

const DAY = 24 * 60 * 60 * 1000;
const trust = [signer.publicKey];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archive-folder-'));
});
afterEach(() => rm(folder, { recursive: true }));

function open(at = folder): Target {
  return makeTarget('local', new Folder({ folder: at, random: systemRandom }));
}

/** What a whole backup is: listed, without a fault, and readable to its end. */
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

describe('keeping backups', () => {
  test('what was put is listed by sequence, found, opened and removed', async () => {
    const target = open();
    for (const sequence of [2, 10, 1]) await publish(target, sequence);
    expect(await wholeOnes(target)).toEqual([idOf(1), idOf(2), idOf(10)]);
    expect(await listed(target, idOf(1))).toEqual([idOf(2), idOf(10)]);
    expect((await target.find(idOf(10))).archive?.name).toBe(`${idOf(10)}.tar.zst`);
    await target.remove(idOf(2));
    await target.remove(idOf(2));
    expect(await listed(target)).toEqual([idOf(1), idOf(10)]);
    expect((await readdir(folder)).some((name) => name.startsWith(idOf(2)))).toBe(false);
    await expect(target.find(idOf(2))).rejects.toMatchObject({ code: 'not_found' });
  });

  test('a place where no folder can be made is refused, and not tried for ever', async () => {
    // The kernel says of it what an automounter says of a disk that is away: no such name, in a folder that is there.
    const target = open('/proc/backups/of/authserver');
    const refusal = { code: 'configuration', message: expect.stringContaining('cannot be made there') };
    await expect(publish(target, 1)).rejects.toMatchObject(refusal);
    await writeFile(join(folder, 'file'), '');
    await expect(publish(open(join(folder, 'file')), 1)).rejects.toMatchObject({ code: 'configuration' });
    await expect(publish(open(join(folder, 'file', 'below')), 1)).rejects.toMatchObject({
      code: 'configuration',
    });
  });

  test('several may make the folder at once', async () => {
    const at = join(folder, 'a', 'b', 'c');
    await Promise.all([1, 2, 3, 4].map((sequence) => publish(open(at), sequence)));
    expect(await listed(open(at))).toEqual([1, 2, 3, 4].map((sequence) => idOf(sequence)));
  });

  test('another process may make the folder above at any moment', async () => {
    const above = join(folder, 'a');
    const mkdir = async (...[path, options]: Parameters<typeof nodeDisk.mkdir>) => {
      const outcome = nodeDisk.mkdir(path, options);
      await outcome.catch(() => undefined);
      await nodeDisk.mkdir(above, { recursive: true });
      return outcome;
    };
    const disk = { ...nodeDisk, mkdir } as unknown as Disk;
    const shelf = new Folder({ folder: join(above, 'b'), random: systemRandom, disk });
    const target = makeTarget('local', shelf);
    await publish(target, 1);
    expect(await listed(target)).toEqual([idOf(1)]);
  });

  test('an empty target, and a folder that is not there yet', async () => {
    const target = open(join(folder, 'a', 'b'));
    expect(await listed(target)).toEqual([]);
    expect(await target.sweep(Date.now())).toEqual([]);
    await publish(target, 1);
    expect((await stat(join(folder, 'a', 'b'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'a', 'b', `${idOf(1)}.tar.zst`))).mode & 0o777).toBe(0o600);
  });

  test('files of others are left alone', async () => {
    await writeFile(join(folder, 'notes.txt'), 'x');
    await writeFile(join(folder, '.hidden.manifest.ndjson'), 'x');
    const target = open();
    await publish(target, 1);
    expect(await listed(target)).toEqual([idOf(1)]);
    await target.sweep(Date.now() + 9 * DAY);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(['notes.txt', '.hidden.manifest.ndjson']));
  });

  test('a record that is far too long spoils no list', async () => {
    const target = open();
    await publish(target, 1);
    await writeFile(join(folder, `${idOf(2)}.manifest.ndjson`), Buffer.alloc(2 * 1024 * 1024));
    const entries = (await gather(target.list())).map((holding) => readHolding(holding, trust));
    expect(entries.map(({ faults }) => faults)).toEqual([[], ['its record is not signed, or was changed']]);
  });

  test('an id that is a path is refused', async () => {
    const target = open();
    await expect(target.find('../../etc/passwd')).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(target.remove('..')).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(target.mark('/tmp/x', 'pinned', Buffer.from('x'))).rejects.toMatchObject({
      code: 'invalid_input',
    });
  });

  test('a copy on another target has the same bytes, or is not made', async () => {
    const [from, to] = [open(), open(join(folder, 'second'))];
    await publish(from, 1);
    await copyBackup(from, to, idOf(1));
    expect(await wholeOnes(to)).toEqual([idOf(1)]);
    const bytes = async (target: Target) => collect(target.open(await target.find(idOf(1))));
    expect((await bytes(to)).equals(await bytes(from))).toBe(true);
    await publish(from, 2);
    await writeFile(join(folder, `${idOf(2)}.tar.zst`), 'x', { flag: 'a' });
    await expect(copyBackup(from, to, idOf(2))).rejects.toThrow('not what its record says');
    expect(await listed(to)).toEqual([idOf(1)]);
    expect(await readdir(join(folder, 'second'))).toHaveLength(2);
  });

  test('what fails while it is written leaves nothing behind', async () => {
    const failing = async function* () {
      yield Buffer.from('a beginning');
      throw new Error('the database went away');
    };
    const target = open();
    const put = target.put({
      id: idOf(1),
      isEncrypted: true,
      archive: failing(),
      record: async () => Buffer.alloc(0),
    });
    await expect(put).rejects.toThrow('the database went away');
    const archive = async function* () {
      yield Buffer.from('all');
    };
    const record = async () => {
      throw new Error('the signer is away');
    };
    await expect(target.put({ id: idOf(2), isEncrypted: true, archive: archive(), record })).rejects.toThrow(
      'signer',
    );
    expect(await readdir(folder)).toEqual([]);
  });

  test('a signal stops it, even while the source does not answer', async () => {
    const never = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('a beginning');
      await new Promise(() => undefined);
    };
    const signal = AbortSignal.timeout(20);
    const put = open().put({
      id: idOf(1),
      isEncrypted: true,
      archive: never(),
      record: async () => Buffer.alloc(0),
      signal,
    });
    await expect(put).rejects.toMatchObject({ code: 'interrupted' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('a folder that cannot be used is named', async () => {
    await writeFile(join(folder, 'file'), '');
    const target = open(join(folder, 'file'));
    await expect(publish(target, 1)).rejects.toMatchObject({
      code: expect.stringMatching(/configuration|unavailable/),
    });
  });
});

test('what is abandoned is swept after a day, and what is in use is not', async () => {
  const target = open();
  await writeFile(join(folder, `.${idOf(1)}.tar.zst.age.partial-0123456789ab`), 'x');
  await writeFile(join(folder, `${idOf(2)}.tar.zst.age`), 'x');
  await publish(target, 3);
  const now = Date.now();
  expect(await target.sweep(now + DAY / 2)).toEqual([]);
  await utimes(join(folder, `${idOf(2)}.tar.zst.age`), (now - 2 * DAY) / 1000, (now - 2 * DAY) / 1000);
  expect(await target.sweep(now)).toEqual([`${idOf(2)}.tar.zst.age`]);
  expect(await target.sweep(now + 2 * DAY)).toEqual([`.${idOf(1)}.tar.zst.age.partial-0123456789ab`]);
  expect(await listed(target)).toEqual([idOf(3)]);
});
