import { asFailure, Failure } from '../kernel/errors.ts';
import type { Command } from './command.ts';
import { makeContext, type World } from './context.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { jsonPrinter } from './print/json.ts';
import type { Printer } from './print/printer.ts';
import { textPrinter } from './print/text.ts';
import { type Invocation, type Parsed, parseCommandLine } from './program.ts';
import type { StopSignals } from './stop-signal.ts';

/** Runs a command line to its end; its exit code. */
export async function runCommandLine(
  load: (words: readonly string[]) => Promise<readonly Command[]>,
  groups: Readonly<Record<string, string>>,
  version: string,
  words: readonly string[],
  world: World,
  stop: StopSignals,
): Promise<number> {
  const printer = choosePrinter(world, words.includes('--json'));
  try {
    const parsed: Parsed = parseCommandLine(await load(words), groups, version, words);
    if ('show' in parsed) world.stdout.write(parsed.show);
    else await runInvocation(parsed.invocation, world, printer, stop);
    return exitCodes.done.code;
  } catch (error) {
    const failure = asFailure(error);
    printer.failure(failure);
    return exitCodeOf(failure.code);
  }
}

async function runInvocation(
  invocation: Invocation,
  world: World,
  printer: Printer,
  { asked, hungUp }: StopSignals,
): Promise<void> {
  const stop = invocation.command.keepsOnHangup ? asked : AbortSignal.any([asked, hungUp]);
  const { context, close } = makeContext(world, invocation.globals, printer, stop);
  try {
    const running = invocation.run(context);
    await (invocation.command.drains ? running : Promise.race([running, interruption(stop)]));
  } finally {
    await close();
  }
}

function interruption(stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const interrupt = () => reject(new Failure('interrupted', 'Interrupted.'));
    if (stop.aborted) interrupt();
    else stop.addEventListener('abort', interrupt, { once: true });
  });
}

function choosePrinter({ stdout, stderr, env }: World, json: boolean): Printer {
  if (json) return jsonPrinter(stdout, stderr);
  const colour = !env['NO_COLOR'];
  return textPrinter(stdout, stderr, {
    out: colour && stdout.isTTY === true,
    err: colour && stderr.isTTY === true,
  });
}
