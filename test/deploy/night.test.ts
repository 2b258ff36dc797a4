// What makes backups in the server's place, by each of the means in deploy/: the commands run as they stand, on a program that
// only says how it was called.

import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { has, readDeploy, unless } from './folder.ts';
import {
  chartManifests,
  containersOf,
  type Manifest,
  onPostgres,
  plainManifests,
  podsOf,
} from './kubernetes.ts';

interface Means {
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the one who started it hears of a failure. */
  tells(outcome: SpawnSyncReturns<string>): boolean;
}

const byExitCode = ({ status }: SpawnSyncReturns<string>) => status !== 0;
const byMail = ({ stdout }: SpawnSyncReturns<string>) => stdout !== '';

/** As systemd.service(5) reads a command line: continued lines, and `$$` for a dollar sign. */
function unit(): Means {
  const [, line = ''] =
    /^ExecStart=((?:\\\n|.)*)$/m.exec(readDeploy('systemd/authserver-backup.service')) ?? [];
  const [, shell = '', script = ''] = /^(\S+) -c '(.*)'$/.exec(line.replaceAll(/\\\n/g, ' ')) ?? [];
  return { command: [shell, '-c', script.replaceAll('$$', '$')], tells: byExitCode };
}

/** As crontab(5) does: the variables of the file, and what a job says goes by mail. */
function crontab(file: string): Means {
  const lines = readDeploy(`cron/${file}`).split('\n');
  const assigned = lines.flatMap((line) => /^([A-Z_]+)=(.*)$/.exec(line)?.slice(1) ?? []);
  const env: Record<string, string> = {};
  for (let at = 0; at < assigned.length; at += 2) env[assigned[at] ?? ''] = assigned[at + 1] ?? '';
  const nightly = lines.find((line) => line.startsWith('11 2 * * * ')) ?? '';
  return { command: ['/bin/sh', '-c', nightly.replace('11 2 * * * ', '')], env, tells: byMail };
}

function cronJob(manifests: readonly Manifest[]): Means {
  const pod = podsOf(manifests).find(({ owner }) => owner.metadata.name.endsWith('-backup'));
  const containers = pod ? containersOf(pod) : [];
  expect(containers).toHaveLength(1);
  const { command = [], args = [] } = containers[0]!;
  return { command: ['env', ...command, ...args], tells: byExitCode };
}

const means: readonly (readonly [string, () => Means])[] = [
  ['the unit of systemd', unit],
  ['the crontab', () => crontab('authserver.crontab')],
  ['the crontab for Compose', () => crontab('compose.crontab')],
  ['the CronJob', () => cronJob(plainManifests('postgres'))],
  ...(has('helm') ? [['the CronJob of the chart', () => cronJob(chartManifests(onPostgres))] as const] : []),
];

/** Says how it was called, and ends as the test wants; the path of the program may stand first. */
const PROGRAM = `#!/bin/sh
case $1 in /*) shift ;; esac
case $3 in --tag*) echo "$1 $2 $3" ;; *) echo "$1 $2" ;; esac >> "$CALLS"
echo "$2 has run"
case $2 in
  create) [ -z "$SLOW" ] || { trap 'sleep 0.2; echo tidied >> "$CALLS"; exit 4' TERM; sleep 30 & wait; }; exit "$CREATE" ;;
  *) exit "$PRUNE" ;;
esac
`;
/** Without a command of its own the service makes a backup; compose.test.ts holds it to that. */
const DOCKER = `#!/bin/sh
while [ "$1" != authserver-backup ]; do shift; done
shift
[ $# -gt 0 ] || set -- backup create
exec authserver "$@"
`;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'authserver-night-'));
  for (const folder of ['bin', 'log/authserver', 'opt/authserver/bin'])
    await mkdir(path.join(root, folder), { recursive: true });
  const programs = { 'bin/authserver': PROGRAM, 'bin/docker': DOCKER, 'opt/authserver/bin/node': PROGRAM };
  for (const [name, text] of Object.entries(programs))
    await writeFile(path.join(root, name), text, { mode: 0o755 });
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** The paths of a real machine lie in a folder of the test. */
function here(text: string): string {
  return text.replaceAll('/opt/authserver', `${root}/opt/authserver`).replaceAll('/var/log', `${root}/log`);
}

function prepared({ command, env = {} }: Means, codes: Readonly<Record<string, string>>) {
  const [program, ...args] = command.map(here) as [string, ...string[]];
  const own = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, here(value)]));
  const PATH = `${root}/bin:${process.env['PATH']}`;
  return { program, args, env: { ...own, PATH, CALLS: path.join(root, 'calls'), ...codes } };
}

async function calls(): Promise<readonly string[]> {
  const text = await readFile(path.join(root, 'calls'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean);
}

describe.each(means)('%s', (title, find) => {
  it.each([
    ['both go well', '0', '0', false],
    ['a target was away when the backup was made', '1', '0', true],
    ['the database was away', '5', '0', true],
    ['the removal fails', '0', '1', true],
    ['others make a backup, which will do', '7', '0', false],
    ['both fail', '1', '3', true],
    ['the backup fails while others remove', '1', '7', true],
    ['the removal fails while others make a backup', '7', '1', true],
  ])(
    'makes one backup, then removes, whatever came of it, and tells of a failure: %s',
    async (_case, CREATE, PRUNE, isFailure) => {
      const night = find();
      const { program, args, env } = prepared(night, { CREATE, PRUNE });
      const outcome = spawnSync(program, args, { env, encoding: 'utf8' });
      expect(await calls()).toEqual(['backup create', 'backup prune']);
      expect(night.tells(outcome), `${outcome.stdout}${outcome.stderr}`).toBe(isFailure);
    },
  );

  it.skipIf(title.includes('crontab'))(
    'lets the backup tidy up when it is stopped, and removes nothing then',
    async () => {
      const { program, args, env } = prepared(find(), { CREATE: '0', PRUNE: '0', SLOW: 'yes' });
      // systemd tells every process of the unit, Kubernetes the first one.
      const isUnit = title.startsWith('the unit');
      const child = spawn(program, args, { env, stdio: 'ignore', detached: true });
      await expect.poll(calls).toEqual(['backup create']);
      const ended = once(child, 'exit');
      await new Promise((resolve) => setTimeout(resolve, 200));
      process.kill(isUnit ? -child.pid! : child.pid!, 'SIGTERM');
      expect(await ended).toEqual([4, null]);
      expect(await calls()).toEqual(['backup create', 'tidied']);
    },
  );
});

it.skipIf(!has('helm'))(`the chart hands on what its values say of a backup${unless('helm')}`, async () => {
  const manifests = chartManifests({ ...onPostgres, 'backup.args': '{--tag=a word}' });
  const { program, args, env } = prepared(cronJob(manifests), { CREATE: '0', PRUNE: '0' });
  expect(spawnSync(program, args, { env }).status).toBe(0);
  expect(await calls()).toEqual(['backup create --tag=a word', 'backup prune']);
});
