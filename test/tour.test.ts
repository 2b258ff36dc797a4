// The README's five minutes, run as written: its commands in order, in a shell, against a server that has just been started.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { describeEngines, freshStorage } from './setup/engines.ts';
import { startServer, type TestServer } from './setup/server.ts';
import { WebBrowser } from './setup/web-browser.ts';

const ROOT = path.join(import.meta.dirname, '..');
const PASSWORD = 'correct horse battery staple';

/** The shell blocks of the section, in order. */
async function tourBlocks(): Promise<readonly string[]> {
  const readme = await readFile(path.join(ROOT, 'README.md'), 'utf8');
  const section = readme.split('## Five minutes')[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block.trim());
}

function shell(server: TestServer, block: string): ChildProcess {
  const command = block.replaceAll('http://localhost:9000', server.issuer);
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1', ...server.env };
  return spawn('bash', ['-euo', 'pipefail', '-c', command], { cwd: ROOT, env, stdio: 'pipe' });
}

async function finished(child: ChildProcess, stdin = ''): Promise<string> {
  child.stdin?.end(stdin);
  const [stdout, stderr] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close'),
  ]);
  expect(child.exitCode, stderr).toBe(0);
  return stdout;
}

describeEngines('the tour of the README', (engine) => {
  test('creates a user and a client, signs in, verifies the token, and gets one for a program', async () => {
    await using storage = await freshStorage(engine);
    await using server = await startServer({ storage, env: { AUTHSERVER_RECOVERY_LOG: 'true' } });
    const [createUser, createClient, signIn, robot, ...others] = await tourBlocks();
    expect(others).toEqual([]);

    expect(await finished(shell(server, createUser ?? ''), PASSWORD)).toContain('alice');
    expect(await finished(shell(server, createClient ?? ''))).toContain('tour');

    const example = shell(server, signIn ?? '');
    const browser = new WebBrowser();
    example.stdout?.once('data', async (chunk: Buffer) => {
      const [address = ''] = /http\S+/.exec(chunk.toString()) ?? [];
      const signInPage = await browser.open(address);
      const consentPage = await browser.submit(signInPage, { username: 'alice', password: PASSWORD });
      await browser.submit(consentPage, { decision: 'allow' });
    });
    const said = await finished(example);
    expect(said).toContain('The ID token is verified.');
    expect(said).toContain("email: 'alice@example.com'");

    const account = await browser.open(`${server.issuer}/account`);
    expect(account.body).toContain('The tour');

    expect(JSON.parse((await finished(shell(server, robot ?? ''))).split('\n').at(-1) ?? '')).toMatchObject({
      token_type: 'Bearer',
      scope: 'notes:read',
    });
  });
});
