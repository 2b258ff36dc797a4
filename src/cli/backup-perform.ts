/** How the commands about backups have them done, and the recovery sheet that some of them are given. */
import type { RecoverySheet } from '../app/backup/recovery-sheet.ts';
import type { DayTwoVerb } from '../app/day-two.ts';
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

/** The recovery sheet in a file. Failures: those of `readSheetIn`. */
export async function sheetIn(file: string): Promise<RecoverySheet> {
  const { readSheetIn } = await import('../app/backup/recovery-sheet.ts');
  return readSheetIn(file);
}
