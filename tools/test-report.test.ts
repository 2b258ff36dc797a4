import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = path.dirname(import.meta.dirname);

describe('npm test', () => {
  let project: string;

  beforeEach(() => {
    project = mkdtempSync(path.join(tmpdir(), 'authserver-report-'));
    symlinkSync(path.join(root, 'node_modules'), path.join(project, 'node_modules'));
  });
  afterEach(() => rmSync(project, { recursive: true }));

  /** Runs the given test files as a project of their own; returns the exit code and what stands after the last blank line. */
  function run(files: Record<string, string>): { code: number | null; lines: string[] } {
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(path.join(project, name), `import { beforeAll, describe, it } from 'vitest';\n${text}`);
    }
    const args = [path.join(root, 'tools', 'test.ts'), '--root', project];
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    return { code: status, lines: stdout.trimEnd().split('\n') };
  }

  it('ends with the count and succeeds when all pass', () => {
    const { code, lines } = run({ 'a.test.ts': "it('one', () => {}); it('two', () => {});" });
    expect(lines.at(-1)).toBe('2 passed, 0 failed');
    expect(code).toBe(0);
  });

  it('names each skip and its reason', () => {
    const { code, lines } = run({
      'a.test.ts':
        "it('one', () => {}); it('two', (t) => t.skip('no browser')); it.skip('three (needs four)', () => {});",
    });
    expect(lines.slice(-5)).toEqual([
      'Skipped (2):',
      '  a.test.ts > two: no browser',
      '  a.test.ts > three (needs four)',
      '',
      '1 passed, 0 failed',
    ]);
    expect(code).toBe(0);
  });

  it('fails for tests, for what breaks around them, and for errors that nobody caught', () => {
    const { code, lines } = run({
      'a.test.ts': "it('one', () => {}); it('two', () => { throw new Error('no'); });",
      'b.test.ts':
        "describe('suite', () => { beforeAll(() => { throw new Error('no'); }); it('inside', () => {}); });",
      'c.test.ts': "throw new Error('at import');",
      'd.test.ts':
        "it('three', async () => { Promise.reject(new Error('lost')); await new Promise(setImmediate); });",
    });
    const failed = lines.slice(lines.indexOf('Failed (4):') + 1, -2);
    expect(failed.filter((line) => !line.startsWith('    ')).sort()).toEqual([
      '  a.test.ts > two',
      '  b.test.ts > suite (before or after its tests)',
      '  c.test.ts (the file itself)',
      '  unhandled error: lost',
    ]);
    const why = failed.slice(failed.indexOf('  a.test.ts > two') + 1);
    expect(why[0]).toBe('    no');
    expect(why[1]).toMatch(/^ {4}at .*a\.test\.ts:2/);
    expect(lines.at(-1)).toBe('2 passed, 4 failed');
    expect(code).toBe(1);
  });

  it('fails when no test ran, and when a test stands in the way of the others', () => {
    expect(run({ 'a.txt': '' })).toMatchObject({ code: 1 });
    const { code, lines } = run({ 'a.test.ts': "it.only('one', () => {}); it('two', () => {});" });
    expect(lines.at(-1)).toMatch(/[1-9] failed/);
    expect(code).toBe(1);
  });
});
