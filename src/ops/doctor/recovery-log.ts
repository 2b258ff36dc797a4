/** Whether a restore reaches more than the moments of backups. */
import type { RecoveryStatus } from '../point-in-time/status.ts';
import type { Facts, LogShelfFacts, ShippedLogFacts } from './facts.ts';
import { failing, type Trouble, type Verdict, verdict, warning } from './finding.ts';
import { dayText } from './words.ts';

export function judgeRecoveryLog({ recoveryLog: facts }: Pick<Facts, 'recoveryLog'>): Verdict {
  switch (facts.by) {
    case 'nobody':
      return verdict('', [
        warning(
          'recovery.log is off: a restore reaches the moments of backups and no others',
          'Set recovery.log to true.',
        ),
      ]);
    case 'postgres':
      return judgeArchive(facts.status);
    case 'server':
      return judgeShipped(facts);
  }
}

function judgeArchive({ by, findings, recovery_lag_seconds: lag }: RecoveryStatus): Verdict {
  // Whoever never set it up was not promised any moment but those of the backups.
  const told = by === null ? findings.slice(0, 1) : findings;
  return verdict(
    `the archive of the log is ${lag ?? 'an unknown number of'} s behind`,
    told.map(({ level, says, hint }) => {
      const trouble = level === 'error' && by !== null ? failing : warning;
      return trouble(says.replace(/\.$/, ''), hint);
    }),
  );
}

function judgeShipped(facts: ShippedLogFacts): Verdict {
  const { batch, shelves, newestBackup } = facts;
  if (batch === undefined) return verdict('the next commit begins a recovery log', []);
  const begun = Math.max(0, ...shelves.map(({ from }) => from ?? 0));
  return verdict(
    `all ${batch} commits of the recovery log are on ${shelves.map(({ name }) => name).join(', ')}`,
    [
      ...shelves.map((shelf) => shelfTrouble(shelf, facts)),
      newestBackup !== undefined && newestBackup < begun
        ? warning(
            `the recovery log began anew on ${dayText(begun)}, and no backup was made since: no moment after it can be restored`,
            'Make one now: `authserver backup create`',
          )
        : undefined,
    ],
  );
}

/** A target that does not answer is told of by another check. */
function shelfTrouble(
  { name, trouble, last, until, faults }: LogShelfFacts,
  { batch = 0, serverRuns }: ShippedLogFacts,
): Trouble | undefined {
  if (trouble !== undefined) return undefined;
  if (faults.length > 0)
    return failing(
      `the recovery log on ${name} is damaged: ${faults.join(', ')}`,
      'A server that runs begins a new one within a minute; then make a backup: `authserver backup create`',
    );
  if (last >= batch) return undefined;
  const since = until === undefined ? 'from its beginning' : `since ${dayText(until)}`;
  const finding = `${batch - last} commits of the recovery log are not on ${name} yet, ${since}`;
  return serverRuns
    ? failing(finding, 'The log of the server says why (look for the name of the target).')
    : warning(finding, 'A server ships them when it starts: `authserver serve`.');
}
