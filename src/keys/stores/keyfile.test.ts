import { execFile } from 'node:child_process';
import * as nodeDisk from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../kernel/clock.ts';
import type { Failure } from '../../kernel/errors.ts';
import { type LogFields, silentLog } from '../../kernel/log.ts';
import { makeKeyPair, readKeyPair, writePem } from '../key-pair.ts';
import { type Disk, openKeyfile } from './keyfile.ts';

let state: string;
let folder: string;

beforeEach(async () => {
  state = await nodeDisk.mkdtemp(join(tmpdir(), 'keyfile-'));
  folder = join(state, 'keys');
});

afterEach(async () => {
  await nodeDisk.rm(state, { recursive: true, force: true });
});

const open = (disk?: Disk, clock = systemClock) =>
  openKeyfile({ folder, clock, log: silentLog, ...(disk && { disk }) });
const later = { now: () => Date.now() + 3_600_000 };
const modeOf = async (path: string) => (await nodeDisk.stat(path)).mode & 0o777;
const files = async () => (await nodeDisk.readdir(folder)).sort();

class PowerCut extends Error {}

/** A disk on which the power goes at the `fatal`th step: from then on nothing happens any more, clean-up included. */
class DyingDisk {
  readonly steps: string[] = [];
  readonly #fatal: number;
  /** What of a written text reaches the disk when the power goes while it is written. */
  readonly #torn: number;

  constructor(fatal: number, torn = 0) {
    this.#fatal = fatal;
    this.#torn = torn;
  }

  readonly disk: Disk = {
    ...nodeDisk,
    open: ((path: string, flags: string, mode?: number) =>
      this.#step(`open ${flags}`, async () =>
        this.#watch(await nodeDisk.open(path, flags, mode)),
      )) as Disk['open'],
    mkdir: ((path: string, options: { recursive: true }) =>
      this.#step('mkdir', () => nodeDisk.mkdir(path, options))) as Disk['mkdir'],
    rename: (from, to) => this.#step('rename', () => nodeDisk.rename(from, to)),
    unlink: (path) => this.#step('unlink', () => nodeDisk.unlink(path)),
    chmod: (path, mode) => this.#step('chmod', () => nodeDisk.chmod(path, mode)),
  };

  #watch(handle: nodeDisk.FileHandle): nodeDisk.FileHandle {
    const watched: Partial<nodeDisk.FileHandle> = {
      chmod: (mode) => this.#step('fchmod', () => handle.chmod(mode)),
      writeFile: (data) =>
        this.#step(
          'write',
          () => handle.writeFile(data),
          () => handle.writeFile(String(data).slice(0, this.#torn)),
        ),
      sync: () => this.#step('fsync', () => handle.sync()),
      // A dead process closes its files all the same.
      close: async () => {
        await handle.close();
        await this.#step('close', async () => undefined);
      },
    };
    return watched as nodeDisk.FileHandle;
  }

  async #step<T>(name: string, work: () => Promise<T>, tear?: () => Promise<void>): Promise<T> {
    if (this.steps.length > this.#fatal) throw new PowerCut();
    this.steps.push(name);
    if (this.steps.length <= this.#fatal) return work();
    await tear?.();
    throw new PowerCut();
  }
}

const NEVER = Number.POSITIVE_INFINITY;

describe('keeping keys', () => {
  test('what was saved is loaded, listed and removed', async () => {
    const store = await open();
    const [one, two] = [await makeKeyPair('ES256'), await makeKeyPair('EdDSA')];
    await store.save(one.kid, writePem(one));
    await store.save(two.kid, writePem(two));
    const reopened = await open();
    expect(await reopened.list()).toEqual([one.kid, two.kid].sort());
    expect(readKeyPair((await reopened.load(one.kid)) ?? '')?.kid).toBe(one.kid);
    await reopened.remove(one.kid);
    await reopened.remove(one.kid);
    expect(await reopened.load(one.kid)).toBeUndefined();
    expect(await reopened.list()).toEqual([two.kid]);
  });

  test('other files in the folder are no keys', async () => {
    const store = await open();
    for (const name of ['README', '.pem', 'a b.pem', 'key.pem.tmp', 'key.pem.bak']) {
      await nodeDisk.writeFile(join(folder, name), '');
    }
    expect(await store.list()).toEqual([]);
  });

  test('an id that is a path never leaves the folder', async () => {
    const store = await open();
    for (const kid of ['../evil', 'a/b', '', '.', 'a\0b']) {
      await expect(store.save(kid, 'pem')).rejects.toMatchObject({ code: 'configuration' });
      await expect(store.load(kid)).rejects.toMatchObject({ code: 'configuration' });
      await expect(store.remove(kid)).rejects.toMatchObject({ code: 'configuration' });
    }
  });
});

describe('crashes', () => {
  const pem = 'PRIVATE\n'.repeat(30);

  async function stepsOf(work: (disk: Disk) => Promise<unknown>): Promise<string[]> {
    const dying = new DyingDisk(NEVER);
    await work(dying.disk);
    return dying.steps;
  }

  test('a key is flushed before it gets its name, and its name before it counts', async () => {
    await open();
    const steps = await stepsOf(async (disk) => (await open(disk)).save('kid', pem));
    expect(steps).toEqual([
      'mkdir',
      ...['open w', 'fchmod', 'write', 'fsync', 'close'],
      'rename',
      ...['open r', 'fsync', 'close'],
    ]);
  });

  test('at every step of a save, the old keys stay and the new one is there wholly or not at all', async () => {
    await (await open()).save('old', pem);
    const steps = await stepsOf(async (disk) => (await open(disk)).save('rehearsal', pem));
    for (const torn of [0, 10, pem.length]) {
      for (let fatal = 0; fatal < steps.length; fatal++) {
        const dying = new DyingDisk(fatal, torn);
        await expect(open(dying.disk).then((store) => store.save('new', pem))).rejects.toThrow();
        expect(dying.steps.length).toBe(fatal + 1);

        const survivor = await open(undefined, later);
        expect(await survivor.load('old')).toBe(pem);
        const kids = await survivor.list();
        expect(kids).toContain('old');
        expect(await survivor.load('new')).toBe(kids.includes('new') ? pem : undefined);
        expect(kids.includes('new')).toBe(fatal > steps.indexOf('rename'));
        expect(await files()).toEqual(kids.map((kid) => `${kid}.pem`));
        await survivor.remove('new');
      }
    }
  });

  test('at every step of making the folder and removing a key, the next start works', async () => {
    const life = async (disk?: Disk) => {
      const store = await open(disk);
      await store.save('one', pem);
      await store.remove('one');
    };
    const steps = await stepsOf(life);
    for (let fatal = 0; fatal < steps.length; fatal++) {
      await nodeDisk.rm(folder, { recursive: true });
      await expect(life(new DyingDisk(fatal).disk)).rejects.toThrow();
      const kid = (await (await open(undefined, later)).list())[0];
      if (kid !== undefined) expect(await (await open()).load(kid)).toBe(pem);
      await life();
    }
  });

  test('what another process is writing at this moment is left alone', async () => {
    await open();
    await nodeDisk.writeFile(join(folder, 'theirs.pem.tmp'), 'half');
    await (await open()).save('ours', pem);
    expect(await files()).toEqual(['ours.pem', 'theirs.pem.tmp']);
    await open(undefined, later);
    expect(await files()).toEqual(['ours.pem']);
  });

  test('a full disk fails the save, names the file, and leaves nothing behind', async () => {
    const full: Disk = {
      ...nodeDisk,
      open: (async (path: string, flags: string, mode?: number) => {
        const handle = await nodeDisk.open(path, flags, mode);
        handle.writeFile = () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }));
        return handle;
      }) as Disk['open'],
    };
    const failure: Failure = await (await open(full)).save('new', pem).catch((error) => error);
    expect(failure).toMatchObject({ code: 'unavailable', hint: expect.stringContaining(folder) });
    expect(failure.message).toContain(join(folder, 'new.pem'));
    expect(await files()).toEqual([]);
  });
});

describe('modes', () => {
  test('a folder is 0700 and files are 0600 under any umask, the loosest too', async () => {
    // A thread cannot set its umask, so another process does.
    const script = `
      import { openKeyfile } from ${JSON.stringify(new URL('./keyfile.ts', import.meta.url).href)};
      const [folder, umask] = process.argv.slice(1);
      process.umask(Number(umask));
      const log = { debug() {}, info() {}, warn() {}, error() {} };
      const store = await openKeyfile({ folder, clock: { now: Date.now }, log });
      await store.save('key', 'PRIVATE');
    `;
    for (const umask of [0o000, 0o022, 0o077]) {
      await promisify(execFile)(process.execPath, [
        '--input-type=module',
        '-e',
        script,
        folder,
        String(umask),
      ]);
      expect(await modeOf(folder)).toBe(0o700);
      expect(await modeOf(join(folder, 'key.pem'))).toBe(0o600);
      await nodeDisk.rm(folder, { recursive: true });
    }
  });

  test('modes that let others in are closed again, with a warning that names the path', async () => {
    const warnings: LogFields[] = [];
    const log = { ...silentLog, warn: (fields: LogFields) => void warnings.push(fields) };
    await (await open()).save('key', 'PRIVATE');
    const path = join(folder, 'key.pem');
    await nodeDisk.chmod(path, 0o644);
    await nodeDisk.chmod(folder, 0o755);

    const store = await openKeyfile({ folder, clock: systemClock, log });
    expect(await store.load('key')).toBe('PRIVATE');
    expect(await modeOf(folder)).toBe(0o700);
    expect(await modeOf(path)).toBe(0o600);
    expect(warnings).toEqual([
      { path: folder, mode: '0755', set_to: '0700' },
      { path, mode: '0644', set_to: '0600' },
    ]);
    await store.load('key');
    expect(warnings).toHaveLength(2);
  });

  test('a path that cannot be used is a failure of the settings that names it', async () => {
    await nodeDisk.writeFile(join(state, 'file'), '');
    folder = join(state, 'file', 'keys');
    await expect(open()).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining(folder),
    });
    folder = join(state, 'keys');
    const store = await open();
    await nodeDisk.mkdir(join(folder, 'key.pem'));
    await expect(store.load('key')).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining(join(folder, 'key.pem')),
    });
  });
});
