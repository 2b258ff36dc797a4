// A disk that is full from the n-th step on, or fails at it: whoever asked is told, nothing is left half done, and the next run
// succeeds.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { Files } from '../../src/app/restore/files.ts';
import { settleRestore } from '../../src/app/restore/finish.ts';
import { asFailure } from '../../src/kernel/errors.ts';
import { Installation } from '../ops/restore-kit.ts';
import { describeEngines, engines } from '../setup/engines.ts';
import { isLong } from '../setup/long.ts';
import { COMMAND, ownEnvironment } from '../setup/server.ts';
import { checkCreateOnBadDisk } from './checks/create.ts';
import { checkPruneOnBadDisk } from './checks/prune.ts';
import { checkSwapOnBadDisk } from './checks/restore-swap.ts';
import { makeFolders } from './checks/scene.ts';
import { ForgetfulDisk } from './forgetful-disk.ts';

const FATES = ['full', 'broken'] as const;
const PATIENCE = 240_000;
/** Every so many steps of a whole restore; the swap within it has its turn at each of them. */
const STRIDE = isLong ? 1 : 17;

describe('a disk that fails, at every step', () => {
  test('of a prune', { timeout: PATIENCE }, checkPruneOnBadDisk);
  test('of a swap of files', { timeout: PATIENCE }, checkSwapOnBadDisk);
});

describe.skipIf(!engines.some(({ name }) => name === 'sqlite'))(
  'a disk that takes no more than so much (needs the sqlite engine)',
  () => {
    test('a restore leaves all as it was, until there is room', { timeout: PATIENCE }, async () => {
      await using here = await Installation.make({ name: 'sqlite' }, { AUTHSERVER_RECOVERY_LOG: 'false' });
      for (let n = 0; n < 20; n++) await here.addUser(`user_${n}`);
      const backup = await here.backup();
      await here.addUser('since');
      const before = await here.users();
      const outcomes: (number | null)[] = [];
      for (const kib of [1, 64, 256, 10_240]) {
        const { code, stderr } = await withFilesUpTo(kib, ['restore', backup, '--yes'], here.env);
        outcomes.push(code);
        await settleRestore(here.config);
        const after = await here.users();
        if (code === 0) expect(Object.keys(after)).toHaveLength(20);
        else {
          expect(after, `${kib} KiB`).toEqual(before);
          expect(stderr, `${kib} KiB`).toMatch(/^Error: .*\n(.*\n)* {2}Next: /m);
        }
        expect((await here.files()).filter((name) => name.includes('restoring'))).toEqual([]);
      }
      expect(outcomes.at(-1)).toBe(0);
      expect(outcomes.slice(0, -1)).not.toContain(0);
    });
  },
);

const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0;

describe.skipIf(!canMount || !engines.some(({ name }) => name === 'sqlite'))(
  'a disk without any room (needs the sqlite engine, and namespaces of mounts)',
  () => {
    test('says so, and lets that be done which makes room', { timeout: PATIENCE }, async () => {
      await using here = await Installation.make({ name: 'sqlite' }, { AUTHSERVER_RECOVERY_LOG: 'false' });
      await using spare = await makeFolders();
      await here.addUser('ada');
      const backup = await here.backup();
      await here.restore({ backup });
      const told = await onFullDisk(here, spare.trash, [
        'admin user list',
        'admin user create bob --no-password',
        'backup create',
        `restore ${backup} --yes`,
        'restore forget --yes',
        'admin user create bob --no-password',
      ]);
      const [list, create, backedUp, restored, forgotten, again] = told;
      expect(list).toMatch(/ada.*exit 0$/s);
      for (const one of [create, backedUp]) {
        expect(one).toMatch(/Error: There is (no room left|too little room).*Next: .*Make room.*exit 5$/s);
      }
      expect(restored).toMatch(/Error: There is too little room.*`authserver restore forget`.*exit 3$/s);
      expect(forgotten).toMatch(/exit 0$/);
      expect(again).toMatch(/exit 0$/);
    });
  },
);

/** What each of the commands says on a disk that its state directory has filled to the last byte. */
async function onFullDisk(here: Installation, spare: string, commands: readonly string[]): Promise<string[]> {
  const script = `
    cp -a "$1/." "$2" && mount -t tmpfs -o size=32m none "$1" && cp -a "$2/." "$1" || exit 1
    for size in 1M 4k 1; do dd if=/dev/zero of="$1/ballast.$size" bs=$size 2>/dev/null; done
    node=$3 command=$4
    shift 4
    for words; do "$node" "$command" $words 2>&1; echo "exit $?"; echo ----; done`;
  const { AUTHSERVER_STATE_DIR: folder = '' } = here.env;
  const words = ['-rm', 'bash', '-c', script, 'bash', folder, spare, process.execPath, COMMAND, ...commands];
  const child = spawn('unshare', words, {
    env: { ...ownEnvironment(), NO_COLOR: '1', ...here.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return said.split('\n----\n').slice(0, -1);
}

/** Where the kernel takes no byte beyond so many KiB of any file (getrlimit(2), RLIMIT_FSIZE), in the middle of whatever it is. */
async function withFilesUpTo(kib: number, words: readonly string[], env: Readonly<Record<string, string>>) {
  const script = `trap '' XFSZ; ulimit -f ${kib}; exec "$@"`;
  const child = spawn('bash', ['-c', script, 'bash', process.execPath, COMMAND, ...words], {
    env: { ...ownEnvironment(), NO_COLOR: '1', ...env, NODE_DISABLE_COMPILE_CACHE: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stderr };
}

describeEngines('a disk that fails', (engine) => {
  test('at every step of a backup', { timeout: PATIENCE }, () => checkCreateOnBadDisk(engine));

  test('at steps of a whole restore', { timeout: PATIENCE }, async () => {
    await using folders = await makeFolders();
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    await here.writeKey('k1.pem', 'then');
    const backup = await here.backup();
    let failed = 0;
    for (let fatal = 0, isDone = false; !isDone; fatal += STRIDE) {
      await here.addUser(`since_${fatal}`);
      await here.writeKey('k1.pem', 'now');
      const before = await here.users();
      const fate = FATES[fatal % 2] ?? 'full';
      const place = `step ${fatal}, ${fate}`;
      const disk = new ForgetfulDisk(fatal, folders.trash, { fate });
      const outcome: unknown = await here
        .restore({ backup }, { files: new Files(disk.disk) })
        .catch((error: unknown) => error);
      isDone = !disk.isHit;
      if (outcome instanceof Error) {
        failed += 1;
        expect(asFailure(outcome), `${place}: ${outcome}`).toMatchObject({
          code: expect.stringMatching(/^(unavailable|configuration)$/),
          hint: expect.any(String),
        });
      }
      await settleRestore(here.config);
      const after = await here.users();
      const isNew = Object.keys(after).length === 1;
      expect(after, place).toEqual(isNew ? { ada: 'active' } : before);
      expect(await readFile(here.keyFile('k1.pem'), 'utf8'), place).toBe(isNew ? 'then' : 'now');
      const left = (await here.files()).filter((name) => /restoring|restore\.json|\.tmp$/.test(name));
      expect(left, place).toEqual([]);
    }
    expect(failed).toBeGreaterThan(2);
  });
});
