// Every block of commands in docs/operate/ and in docs/from-*.md runs as it stands, in order, on a host with a server.

import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { has } from '../deploy/folder.ts';
import { describeEngines, type Engine, engines } from '../setup/engines.ts';
import { isLong } from '../setup/long.ts';
import { Host, runShell } from './host.ts';
import { commandBlocks, scriptOf } from './runbook.ts';

const DOCS = path.join(import.meta.dirname, '..', '..', 'docs');
const operate = (await readdir(path.join(DOCS, 'operate'))).map((name) => `operate/${name}`);
const runbooks = await Promise.all(
  [...operate, 'from-authplane.md', 'from-hellojohn.md'].map(async (name, index) => {
    const markdown = await readFile(path.join(DOCS, name), 'utf8');
    return { name, markdown, lack: lackOf(name), on: enginesFor(markdown, index) };
  }),
);

/**
 * When there is little time, what a guide has for one engine is not run where the other has all of it; a guide whose commands
 * are the same on both runs on one of them in turn.
 */
function enginesFor(markdown: string, index: number): readonly Engine[] {
  const [one, other] = engines;
  if (isLong || !one || !other) return engines;
  const [ones, others] = [one, other].map(({ name }) =>
    commandBlocks(markdown, name).map(({ text }) => text),
  );
  const covers = (all: readonly string[] = [], some: readonly string[] = []) =>
    some.every((text) => all.includes(text));
  if (covers(ones, others) && covers(others, ones)) return [index % 2 === 0 ? one : other];
  return covers(ones, others) ? [one] : covers(others, ones) ? [other] : engines;
}

/** What a runbook needs and this run has not; empty when nothing is missing. */
function lackOf(name: string): string {
  const tools = name === 'operate/disaster.md' ? ['age', 'zstd'] : [];
  const missing = tools.filter((tool) => !has(tool)).map((tool) => `no ${tool} on PATH`);
  if (name === 'operate/grow.md' && engines.length < 2) missing.push('one engine only');
  return missing.length === 0 ? '' : ` (skipped: ${missing.join(', ')})`;
}

describeEngines('the runbooks', (engine) => {
  for (const { name, lack, markdown } of runbooks.filter(({ on }) => on.includes(engine))) {
    const title = `${name}: every command runs as it stands${lack}`;
    test.skipIf(lack !== '').concurrent(title, { timeout: 480_000 }, async () => {
      const blocks = commandBlocks(markdown, engine.name);
      expect(blocks.length, `${name} has commands`).toBeGreaterThan(0);
      await using host = await Host.make(engine);
      const { code, stdout, stderr } = await host.run(scriptOf(blocks, name));
      expect(code, `${stdout}\n${stderr}`).toBe(0);
    });
  }
});

describe('a runbook that is wrong', () => {
  const run = (markdown: string) =>
    runShell(scriptOf(commandBlocks(markdown, 'sqlite'), 'wrong.md'), { cwd: tmpdir(), env: process.env });

  test('is read block by block, for one engine or both, and nothing else in it is run', () => {
    const markdown = [
      'text',
      '```sh',
      'both',
      '```',
      '```sh postgres',
      'theirs',
      '```',
      '```yaml',
      'a: b',
      '```',
      '```sh sqlite',
      'ours',
      '```',
    ].join('\n');
    expect(commandBlocks(markdown, 'sqlite')).toEqual([
      { line: 3, text: 'both' },
      { line: 12, text: 'ours' },
    ]);
    expect(commandBlocks(markdown, 'postgres').map(({ text }) => text)).toEqual(['both', 'theirs']);
  });

  test.each([
    ['a command that fails', 'true\nfalse\ntrue', 'wrong.md:2'],
    ['a command that does not exist', 'no-such-command', 'wrong.md:2'],
    ['a failure inside a pipe', 'false | cat', 'wrong.md:2'],
    ['a variable that nobody set', 'echo "$NOBODY"', 'NOBODY'],
    ['a command that should fail and does not', 'true # exit 3', 'ended with 0, not 3'],
    ['a command that fails in another way', '(exit 2) # exit 3: refused', 'ended with 2, not 3'],
  ])('%s ends it, and says where', async (_, commands, where) => {
    const { code, stderr } = await run(`\`\`\`sh\n${commands}\n\`\`\``);
    expect(code).not.toBe(0);
    expect(stderr).toContain(where);
  });

  test('an exit code that was announced is no failure', async () => {
    const markdown = '```sh\nA=1\n(exit 3) # exit 3: refused\n```\n\n```sh\ntest "$A" = 1\n```';
    expect(await run(markdown)).toMatchObject({ code: 0 });
  });
});
