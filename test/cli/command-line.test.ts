// The command line itself: help, mistakes, exit codes, printing. No command here reaches a database.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { groups, loadCommands } from '../../src/cli/commands.ts';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { parseCommandLine } from '../../src/cli/program.ts';
import { authserver } from '../setup/server.ts';

const root = path.join(import.meta.dirname, '..', '..');
const docs = path.join(root, 'docs');

const commands = await loadCommands([]);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'authserver-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Every command below `words`, found the way a person would find it: by asking for help. */
function commandsBelow(words: readonly string[]): { words: readonly string[]; help: string }[] {
  const help = helpOf(words);
  const names = [...(help.split('\nCommands:\n')[1] ?? '').matchAll(/^ {2}([a-z][a-z-]*)/gm)]
    .map((match) => match[1] as string)
    .filter((name) => name !== 'help');
  return names.length === 0 ? [{ words, help }] : names.flatMap((name) => commandsBelow([...words, name]));
}

/** In this process: a process for each of some sixty commands would take a minute. */
function helpOf(words: readonly string[]): string {
  const parsed = parseCommandLine(commands, groups, '0.0.0', [...words, '--help']);
  if ('show' in parsed) return parsed.show;
  throw new Error(`${words.join(' ')} --help would run something`);
}

test('help is what a process of its own prints', async () => {
  const { code, stdout } = await authserver(['backup', 'create', '--help']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: helpOf(['backup', 'create']) });
});

test('a first word leads to the same commands as all of them do', async () => {
  const names = (found: typeof commands) => found.map(({ name }) => name);
  for (const first of new Set(names(commands).map((name) => name.split(' ')[0] ?? ''))) {
    expect(names(await loadCommands([first])), first).toEqual(
      names(commands).filter((name) => name.split(' ')[0] === first),
    );
  }
  for (const words of [['help', 'serve'], ['--json', 'serve'], ['constructor'], ['srve']])
    expect(await loadCommands(words), words.join()).toEqual(commands);
});

test('every command has help with an example that names it, --json, --config and the exit codes', () => {
  const found = commandsBelow([]);
  expect(found.length).toBeGreaterThan(20);
  for (const { words, help } of found) {
    const name = words.join(' ');
    expect(help, name).toMatch(new RegExp(`Examples?:\\n[^]*authserver ${name}`));
    expect(help, name).toContain('--json ');
    expect(help, name).toContain('--config <file>');
    for (const { code, meaning } of Object.values(exitCodes))
      expect(help, name).toContain(`  ${code}  ${meaning}`);
  }
});

test('a reader that has seen enough ends a command in peace, with its own exit code', async () => {
  const run = (command: string) =>
    promisify(execFile)('bash', ['-c', `set -o pipefail; ${command}`], { cwd: root }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        stdout,
        stderr,
      }),
    );
  expect(await run('bin/authserver --help | true')).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(await run('bin/authserver config print --json | head -c 1')).toMatchObject({ code: 0, stderr: '' });
  expect(await run('bin/authserver backup nonsense 2>&1 | true')).toMatchObject({ code: 2, stderr: '' });
  const full = await run('bin/authserver --help > /dev/full');
  expect(full).toMatchObject({ code: 1, stderr: expect.stringMatching(/^What .* \(ENOSPC\)\. .*\n$/) });
});

test('docs/exit-codes.md has the table of the program', async () => {
  const page = await readFile(path.join(docs, 'exit-codes.md'), 'utf8');
  const rows = Object.values(exitCodes).map(({ code, meaning }) => `| ${code} | ${meaning} |`);
  expect(page).toContain(rows.join('\n'));
  expect(page.match(/^\| \d+ \|/gm)).toHaveLength(rows.length);
});

test('version', async () => {
  const { version } = JSON.parse(await readFile(path.join(docs, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  expect((await authserver(['--version'])).stdout).toBe(`authserver ${version}\n`);
  const { code, stdout } = await authserver(['version', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ version, node: expect.any(String), sqlite: expect.any(String) });
});

describe('mistakes end with 2 and say what was meant', () => {
  test.each([
    [['confg', 'check'], /Unknown command 'confg'\.\n {2}Next: Did you mean config\?/],
    [['config', 'chek'], /Unknown command 'chek'\.\n {2}Next: Did you mean check\?/],
    [['version', '--jsn'], /Unknown option '--jsn'\.\n {2}Next: Did you mean --json\?/],
    [['config'], /A command is missing\.\n {2}Next: Use one of: check, print\./],
    [[], /A command is missing\.\n {2}Next: Use one of: serve, migrate,/],
    [['version', 'now'], /Too many arguments/],
    [['admin', 'user', 'show'], /Missing required argument 'user'/],
    [['config', 'check', '--config'], /argument missing/],
    [['restore', '--to', '2026-02-30T00:00:00Z', '--plan'], /--to does not know "2026-02-30T00:00:00Z"/],
    [['restore', '--latest', '--trust', 'abc', '--plan'], /--trust does not know "abc"[\s\S]*43 characters/],
    [['backup', 'diff', 'latest', 'live', '--trust', ''], /--trust does not know ""/],
  ])('authserver %j', async (words, complaint) => {
    const { code, stdout, stderr } = await authserver(words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(complaint);
  });

  test('in JSON where JSON was asked for', async () => {
    const { code, stderr } = await authserver(['config', 'chek', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'invalid_input',
        message: "Unknown command 'chek'.",
        hint: expect.stringContaining('check'),
      },
    });
  });
});

describe('settings', () => {
  test('a good configuration is called good', async () => {
    const { code, stdout } = await authserver(['config', 'check']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'The configuration is good.\n' });
  });

  test('every fault is reported at once, by every command that reads settings', async () => {
    const file = path.join(folder, 'bad.yaml');
    await writeFile(file, 'server: {isuer: x}\nstorage: {driver: oracle}\n');
    const env = { AUTHSERVER_OAUTH_CODE_LIFETIME: '1y', AUTHSERVER_STATE_DIR: path.join(folder, 'never') };
    for (const words of [['config', 'check'], ['serve'], ['migrate'], ['admin', 'user', 'list']]) {
      const { code, stdout, stderr } = await authserver([...words, '--config', file], { env });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('The configuration has 3 faults.');
      expect(stderr).toContain(`server.isuer (${file}:1:10) is not a known key. Did you mean server.issuer?`);
      expect(stderr).toContain(
        `storage.driver (${file}:2:19) must be one of: sqlite, postgres, not "oracle".`,
      );
      expect(stderr).toContain('oauth.code_lifetime (env AUTHSERVER_OAUTH_CODE_LIFETIME) must be a duration');
    }
    const { stderr } = await authserver(['config', 'check', '--json', '--config', file], { env });
    expect(JSON.parse(stderr).error.faults).toHaveLength(3);
  });

  test('print names origins and keeps secrets', async () => {
    const env = {
      AUTHSERVER_ADMIN_API_KEY: 'k9#fL2-pQ8w_zX41mVbT',
      DATABASE_URL: 'postgres://u:p4ssw0rd@db/a',
    };
    const text = await authserver(['config', 'print'], { env });
    expect(text.stdout).toContain('  driver: postgres  # env DATABASE_URL\n');
    expect(text.stdout).toContain('  # api_key: (set, from env AUTHSERVER_ADMIN_API_KEY)\n');
    const json = await authserver(['config', 'print', '--json'], { env });
    expect(JSON.parse(json.stdout).keys).toContainEqual({
      path: 'admin.api_key',
      value: null,
      origin: 'env AUTHSERVER_ADMIN_API_KEY',
      secret: true,
    });
    for (const { stdout, stderr } of [text, json]) expect(stdout + stderr).not.toMatch(/k9#fL2|p4ssw0rd/);
  });

  test('each name of another system is logged once with its name here', async () => {
    const env = { AUTHPLANE_SERVER_ISSUER: 'https://a.example', HELLOJOHN_DATABASE_URL: 'postgres://db/a' };
    const { stderr } = await authserver(['config', 'check'], { env });
    const messages = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg);
    expect(messages).toEqual([
      'AUTHPLANE_SERVER_ISSUER is read as AUTHSERVER_SERVER_ISSUER; use that name from now on.',
      'HELLOJOHN_DATABASE_URL is read as AUTHSERVER_STORAGE_POSTGRES_DSN; use that name from now on.',
    ]);
  });
});
