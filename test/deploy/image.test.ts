import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from './folder.ts';
import { environment, follow, only, readStages, texts } from './image.ts';

const stages = readStages();
const [build, last] = [stages[0]!, stages.at(-1)!];
const STATE = '/var/lib/authserver';

describe('the Dockerfile', () => {
  it('keeps state in one place: the volume, the state directory and the folder that its user owns', () => {
    expect(only(last, 'VOLUME')).toBe(STATE);
    expect(environment(last).AUTHSERVER_STATE_DIR).toBe(STATE);
    expect(only(last, 'WORKDIR')).toBe(STATE);
    const [uid] = only(last, 'USER').split(':');
    expect(Number(uid)).toBeGreaterThan(0);
    expect(texts(last, 'RUN')).toEqual([
      `install -d -o ${uid} -g ${uid} -m 0700 ${STATE} /var/backups/authserver`,
    ]);
  });

  it('has Docker tell the server itself to stop, and itself ask whether it is ready', () => {
    expect(JSON.parse(only(last, 'ENTRYPOINT'))).toEqual(['node', '/opt/authserver/bin/authserver']);
    expect(JSON.parse(only(last, 'CMD'))).toEqual(['serve']);
    expect(healthCheck()).toEqual([
      'node',
      '--eval',
      expect.stringContaining("fetch('http://127.0.0.1:9000/ready')"),
    ]);
    expect(environment(last).AUTHSERVER_SERVER_ADDRESS).toBe('0.0.0.0:9000');
  });

  it('takes into the last stage nothing that builds', () => {
    expect(texts(last, 'COPY')).toEqual(['--from=build /opt/authserver /opt/authserver']);
    expect(only(build, 'FROM')).toMatch(/ AS build$/);
    expect(texts(build, 'RUN')[0]).toMatch(/^npm ci --omit=dev /);
  });
});

describe('what the Dockerfile copies', () => {
  let app: string;
  let state: string;

  beforeAll(async () => {
    app = await mkdtemp(path.join(tmpdir(), 'authserver-image-'));
    state = await mkdtemp(path.join(tmpdir(), 'authserver-volume-'));
    await follow(build, app, linkRunningPackages);
  });
  afterAll(async () => {
    for (const folder of [app, state]) await rm(folder, { recursive: true, force: true });
  });

  it('holds no tests and none of what is for a clone only', () => {
    const files = globSync('**/*', { cwd: app, exclude: ['node_modules'] });
    expect(files.filter((file) => /test|^bench|^docs|\.git/.test(file))).toEqual([]);
    expect(files).toContain('LICENSE');
  });

  it('migrates, serves, purges, stops on SIGTERM, and writes into the volume alone', async () => {
    const before = await readdir(app, { recursive: true });
    expect(await inContainer(['migrate'])).toBe(0);

    const server = start(['node', path.join(app, 'bin', 'authserver'), 'serve', '--json']);
    const { url } = JSON.parse(await firstLine(server)) as { url: string };
    const check = healthCheck().map((word) => word.replace('http://127.0.0.1:9000', url));
    expect(await exitOf(start(check))).toBe(0);
    // The sidecar: another process on the same volume, as the same user.
    expect(await inContainer(['purge'])).toBe(0);
    const ended = exitOf(server);
    server.kill('SIGTERM');
    expect(await ended).toBe(0);

    expect(await readdir(app, { recursive: true })).toEqual(before);
    expect(await readdir(state)).toEqual(expect.arrayContaining(['authserver.db', 'keys']));
  });

  /** Runs a command of the image to its end, from the folder that the image starts in. */
  function inContainer(args: readonly string[]): Promise<number | null> {
    return exitOf(start(['node', path.join(app, 'bin', 'authserver'), ...args]));
  }

  function start([command = '', ...args]: readonly string[]) {
    const env = {
      ...environment(last),
      // The machine's own Node must not help.
      PATH: path.join(app, 'bin'),
      NODE_COMPILE_CACHE: path.join(state, 'cache'),
      AUTHSERVER_STATE_DIR: state,
      AUTHSERVER_SERVER_ADDRESS: '127.0.0.1:0',
      AUTHSERVER_ADMIN_ADDRESS: '127.0.0.1:0',
    };
    return spawn(command, args, { cwd: state, env, stdio: 'pipe' });
  }
});

/** What `npm ci --omit=dev` leaves in node_modules, by the lock file. */
async function linkRunningPackages(app: string): Promise<void> {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  const running = Object.entries(lock.packages).filter(
    ([name, { dev, devOptional }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(name) && !dev && !devOptional,
  );
  for (const [name] of running) {
    await mkdir(path.dirname(path.join(app, name)), { recursive: true });
    await symlink(path.join(root, name), path.join(app, name));
  }
}

function healthCheck(): readonly string[] {
  return JSON.parse(only(last, 'HEALTHCHECK').replace(/^.* CMD /, '')) as string[];
}

/** The first line on standard output. Fails with standard error where the process ends before. */
async function firstLine(child: ChildProcess): Promise<string> {
  const said = text(child.stderr!);
  const ended = exitOf(child).then(async (code) => {
    throw new Error(`It ended with ${code}: ${await said}`);
  });
  const line = once(createInterface({ input: child.stdout! }), 'line') as Promise<[string]>;
  return (await Promise.race([line, ended]))[0];
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}
