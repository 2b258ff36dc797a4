/** How the commands about backups have them done, and the recovery sheet that some of them are given. */
import { readFile } from 'node:fs/promises';
import type { RecoverySheet } from '../app/backup/recovery-sheet.ts';
import type { DayTwoVerb } from '../app/day-two.ts';
import { Failure } from '../kernel/errors.ts';
import type { PinReport, PinRequest } from '../ops/backup/pin.ts';
import type { CliContext } from './command.ts';

/** Does a verb that has nothing to tell on the way. */
export async function performQuietly<Report>(
  context: CliContext,
  choose: (verbs: typeof import('../app/backup/verbs.ts')) => DayTwoVerb<never, Report>,
): Promise<Report> {
  const config = await context.config();
  const { perform } = await import('../app/day-two.ts');
  const verb = choose(await import('../app/backup/verbs.ts'));
  return perform(config, verb, { progress: () => undefined, signal: context.signal });
}

export function backupPinned(context: CliContext, request: PinRequest): Promise<PinReport> {
  return performQuietly(context, ({ pinVerb }) => pinVerb(request));
}

/** The recovery sheet in a file. Failures: `invalid_input`; what stands in the file is not repeated. */
export async function sheetIn(file: string): Promise<RecoverySheet> {
  const { readRecoverySheet } = await import('../app/backup/recovery-sheet.ts');
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Failure('invalid_input', `Cannot read the recovery sheet ${file} (${code}).`, { cause });
  });
  return readRecoverySheet(text);
}
