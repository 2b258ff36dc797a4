// Owns the command line within this process: the table of commands as the program has it, without the half second that a
// process takes. What a process adds (its signals, its umask, its log, its launcher) is for `authserver` in server.ts.

import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import { programVersion } from '../../src/app/version.ts';
import { groups, loadCommands } from '../../src/cli/commands.ts';
import type { World } from '../../src/cli/context.ts';
import { runCommandLine } from '../../src/cli/run.ts';

export interface Outcome {
  /** The exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Somebody sits there and types. */
  readonly terminal?: boolean;
}

/** What a command answered that was asked for `--json` and did it. */
export function answerOf({ code, stdout, stderr }: Outcome) {
  // Both at once, so that a failure is told with its reason.
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

/** Runs the command to its end. */
export async function runCommand(
  words: readonly string[],
  { env = {}, stdin = '', terminal = false }: CommandOptions = {},
): Promise<Outcome> {
  const [input, out, err] = [new PassThrough(), new PassThrough(), new PassThrough()];
  input.end(stdin);
  const world = {
    stdin: Object.assign(input, { isTTY: terminal }),
    stdout: out,
    stderr: err,
    env: { NO_COLOR: '1', ...env },
  };
  const said = Promise.all([text(out), text(err)]);
  const never = new AbortController().signal;
  const stop = { asked: never, hungUp: never };
  // Pipes, as a process has that no terminal belongs to.
  const streams = world as unknown as World;
  const code = await runCommandLine(loadCommands, groups, programVersion(), words, streams, stop);
  out.end();
  err.end();
  const [stdout, stderr] = await said;
  return { code, stdout, stderr };
}
