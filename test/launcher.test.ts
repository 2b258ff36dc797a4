import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = path.dirname(import.meta.dirname);

const MAIN = `
const [command, ...args]: string[] = process.argv.slice(2);
console.log(process.version, command, ...args);
if (command === 'fail') process.exitCode = 3;
if (command === 'die') process.kill(process.pid, 'SIGKILL');
if (command === 'serve') {
  const running = setInterval(() => {}, 1000);
  process.once('SIGTERM', () => { console.log('drained'); clearInterval(running); });
  console.log('ready');
}
`;

/** Makes the Node that runs bin/ look like an older one; what that starts in turn is not affected. */
const OLD_NODE =
  "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } });";

let project: string;

beforeEach(async () => {
  project = await mkdtemp(path.join(tmpdir(), 'authserver-launch-'));
  await cp(path.join(root, 'bin'), path.join(project, 'bin'), { recursive: true });
  await mkdir(path.join(project, 'src', 'cli'), { recursive: true });
  await mkdir(path.join(project, 'node_modules'));
  await writeFile(path.join(project, 'src', 'cli', 'main.ts'), MAIN);
  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }');
  await writeFile(path.join(project, 'old-node.cjs'), OLD_NODE);
});
afterEach(() => rm(project, { recursive: true }));

/** Starts a file of bin/; `old` as if by a Node that is too old. */
function start(command: string, args: string[], old = false): ChildProcess {
  const preload = old ? ['--require', path.join(project, 'old-node.cjs')] : [];
  const env = { PATH: `${path.join(project, 'fake')}:/usr/bin:/bin` };
  return spawn(process.execPath, [...preload, path.join(project, 'bin', command), ...args], { env });
}

async function finish(child: ChildProcess) {
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout!),
    text(child.stderr!),
  ]);
  return { code, signal, stdout, stderr };
}

describe.each([{ old: false }, { old: true }])(
  'authserver, started by a Node that is too old: $old',
  ({ old }) => {
    beforeEach(async () => {
      const pinned = `node-${process.platform}-${process.arch}`;
      await symlink(path.join(root, 'node_modules', pinned), path.join(project, 'node_modules', pinned));
    });

    it('runs the command line on the right Node', async () => {
      const { code, stdout } = await finish(start('authserver', ['version', '--json', 'a b'], old));
      expect(stdout).toBe(`${process.version} version --json a b\n`);
      expect(code).toBe(0);
    });

    it('ends as the command ends', async () => {
      expect(await finish(start('authserver', ['fail'], old))).toMatchObject({ code: 3, signal: null });
      expect(await finish(start('authserver', ['die'], old))).toMatchObject({
        code: null,
        signal: 'SIGKILL',
      });
    });

    it('hands SIGTERM on and lets the server drain', async () => {
      const child = start('authserver', ['serve'], old);
      child.stdout?.on('data', (chunk) => String(chunk).includes('ready') && child.kill('SIGTERM'));
      expect(await finish(child)).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/ready\ndrained\n$/),
      });
    });
  },
);

describe('authserver without its dependencies', () => {
  it('says what to run when a package is missing', async () => {
    await writeFile(path.join(project, 'src', 'cli', 'main.ts'), "import 'fastify';");
    const { code, stderr } = await finish(start('authserver', ['version']));
    expect(stderr).toContain("Cannot find package 'fastify'");
    expect(stderr).toContain(`npm ci --omit=dev\` in ${project}`);
    expect(code).toBe(1);
  });

  it('says what to run when no Node fits', async () => {
    const { code, stderr } = await finish(start('authserver', ['version'], true));
    expect(stderr).toMatch(/^authserver needs Node 24\.15 or newer; this is 20\.19\.0\.\n/);
    expect(code).toBe(1);
  });
});

describe('npm start', () => {
  const lock = {
    '': {},
    'node_modules/run': { version: '1.0.0', integrity: 'sha512-a' },
    'node_modules/test': { version: '1.0.0', integrity: 'sha512-b', dev: true },
    'node_modules/elsewhere': { version: '1.0.0', integrity: 'sha512-c', optional: true },
  };
  const { 'node_modules/run': run, 'node_modules/test': test } = lock;

  /** A stand-in for npm that writes down how it was called. */
  async function fakeNpm(exitCode: number): Promise<void> {
    await mkdir(path.join(project, 'fake'));
    const script = `#!/bin/sh\necho "$1 $2" >> "${project}/npm.log"\nexit ${exitCode}\n`;
    await writeFile(path.join(project, 'fake', 'npm'), script, { mode: 0o755 });
  }

  async function startWith(installed: object | undefined) {
    await writeFile(path.join(project, 'package-lock.json'), JSON.stringify({ packages: lock }));
    const record = path.join(project, 'node_modules', '.package-lock.json');
    if (installed) await writeFile(record, JSON.stringify({ packages: installed }));
    await writeFile(path.join(project, 'src', 'cli', 'main.ts'), 'console.log(process.argv.slice(2));');
    const result = await finish(start('start', ['--config', 'x']));
    const npm = await readFile(path.join(project, 'npm.log'), 'utf8').catch(() => '');
    return { ...result, npm };
  }

  it.each([
    ['nothing is installed', undefined],
    ['a package is missing', { 'node_modules/test': test }],
    ['a version differs', { 'node_modules/run': { ...run, version: '0.9.0' } }],
    ['the content differs', { 'node_modules/run': { ...run, integrity: 'sha512-z' } }],
  ])('installs what running needs when %s', async (_case, installed) => {
    await fakeNpm(0);
    const { code, npm, stdout, stderr } = await startWith(installed);
    expect(npm).toBe('ci --omit=dev\n');
    expect(stderr).toBe('Installing the locked dependencies once: npm ci --omit=dev\n');
    expect(stdout).toBe("[ 'serve', '--config', 'x' ]\n");
    expect(code).toBe(0);
  });

  it.each([
    ['with development packages', { 'node_modules/run': run, 'node_modules/test': test }],
    ['without them', { 'node_modules/run': run }],
  ])('leaves a matching install alone, %s', async (_case, installed) => {
    await fakeNpm(0);
    expect(await startWith(installed)).toMatchObject({ code: 0, npm: '', stderr: '' });
  });

  it('does not start when the install fails', async () => {
    await fakeNpm(7);
    const { code, stdout, stderr } = await startWith(undefined);
    expect(stderr).toContain(`To see why, run \`npm ci --omit=dev\` in ${project}`);
    expect(stdout).toBe('');
    expect(code).toBe(7);
  });
});
