/** Whether there is something to come back to. */
import type { BackupFacts, BackupTargetFacts, Facts, KnownBackup, SafetyCopy } from './facts.ts';
import { failing, skipped, type Trouble, type Verdict, verdict, warning } from './finding.ts';
import { ageText, dayText, shellWord, sizeText } from './words.ts';

const CREATE = 'Make one now: `authserver backup create`';

/** The age of the newest backup that has been proven. */
export function judgeAge({ backups: facts }: Pick<Facts, 'backups'>): Verdict {
  const madeAt = lastVerified(facts);
  if (madeAt !== undefined) {
    const age = facts.now - madeAt;
    const said = `the last verified backup is ${ageText(age)} old`;
    const isOld = age > facts.maxAge;
    return verdict(said, [
      isOld ? failing(`${said}, and may be ${ageText(facts.maxAge)}`, CREATE) : undefined,
    ]);
  }
  const isNew = facts.now - facts.since <= facts.maxAge;
  const finding = 'there is no verified backup';
  return verdict('', [isNew ? warning(`${finding} yet`, CREATE) : failing(finding, CREATE)]);
}

/** What became of the newest one, on every target, and whether the one that we count on is still there. */
export function judgeNewest({ backups: facts }: Pick<Facts, 'backups'>): Verdict {
  const { backups, targets, remembered } = facts;
  const sequence = Math.max(0, ...backups.map((backup) => backup.sequence));
  const newest = backups.filter((backup) => backup.sequence === sequence);
  const [first] = newest;
  const answering = targets.filter(({ trouble }) => trouble === undefined);
  const unseen = backups.some(({ id }) => id === remembered?.id) ? undefined : remembered;
  if (unseen && answering.length === targets.length) {
    const gone = failing(
      `the backup ${unseen.id}, the last verified one, is on no target any more`,
      `Find out who removed it. ${CREATE}`,
    );
    return verdict('', [gone, ...newest.map(newestTrouble)]);
  }
  // The one that nobody sees is on a target that does not answer; those that do should have it too.
  const wanted = unseen && unseen.madeAt > (first?.madeAt ?? 0) ? unseen.id : first?.id;
  if (wanted === undefined || answering.length === 0) return skipped('no target shows a backup');
  return verdict(
    `the newest backup ${wanted} is verified on ${newest.map(({ target }) => target).join(', ')}`,
    [...newest.map(newestTrouble), ...answering.map((target) => absence(wanted, target, backups))],
  );
}

/** A disk that was not mounted looks like a target on which nothing was ever put. */
function absence(
  wanted: string,
  { name, place }: BackupTargetFacts,
  backups: readonly KnownBackup[],
): Trouble | undefined {
  const there = backups.filter(({ target }) => target === name);
  if (there.some(({ id }) => id === wanted)) return undefined;
  return warning(
    there.length === 0
      ? `backup target ${name} (${place}) has no backup, and the newest, ${wanted}, is elsewhere`
      : `backup target ${name} (${place}) does not have the newest backup, ${wanted}`,
    'Is its disk mounted, and is it the right place? Then the next backup goes there too: `authserver backup create`.',
  );
}

function newestTrouble({ id, target, state }: KnownBackup): Trouble | undefined {
  if (state === 'verified') return undefined;
  return state === 'failed'
    ? failing(
        `the newest backup ${id} on ${target} did not pass its verification`,
        `See what was wrong with it (\`authserver backup verify ${id} --target ${target} --recovery-key FILE\`), then make another: \`authserver backup create\`.`,
      )
    : warning(
        `the newest backup ${id} on ${target} has not been tried`,
        `\`authserver backup verify ${id} --target ${target} --recovery-key FILE\``,
      );
}

export function judgeTargets({ backups: { targets } }: Pick<Facts, 'backups'>): Verdict {
  const elsewhere = targets.filter(({ besideDatabase }) => !besideDatabase);
  const add =
    'Name a second one in backup.targets, on another machine: `local=/var/backups/authserver, away=s3://bucket/prefix?region=...`.';
  const troubles: (Trouble | undefined)[] = targets.map(({ name, place, trouble }) =>
    trouble === undefined
      ? undefined
      : failing(
          `backup target ${name} (${place}) does not answer: ${trouble}`,
          `See that ${name} can be reached, then: \`authserver backup list --target ${name}\`.`,
        ),
  );
  if (elsewhere.length === 0)
    troubles.push(warning('every backup is on the disk of the database, and is lost with it', add));
  else if (targets.length === 1)
    troubles.push(warning(`every backup is on one target, ${targets[0]?.name}`, add));
  return verdict(
    `backups go to ${targets.map(({ name }) => name).join(', ')}, and ${targets.length} answer`,
    troubles,
  );
}

/** After so long, ms, people have forgotten where a sheet of paper is. */
const CONFIRMATION_LASTS = 180 * 24 * 60 * 60 * 1000;

export function judgeRecoveryKey({
  recoveryKey: { now, opens, confirmedAt },
}: Pick<Facts, 'recoveryKey'>): Verdict {
  switch (opens) {
    case 'anybody':
      return verdict('', [
        warning(
          'backups are not encrypted (backup.plaintext)',
          'Set backup.plaintext to false; the recovery key opens what is made from then on.',
        ),
      ]);
    case 'nothing':
      return verdict('', [
        warning(
          'there is no recovery key yet',
          'The first start makes one and shows it once: `authserver serve`.',
        ),
      ]);
    case 'passphrase':
      return verdict('a passphrase of the settings opens the backups; keep it elsewhere too', []);
    case 'recipients':
      return verdict('the keys of backup.recipients open the backups; keep them elsewhere', []);
    case 'recovery_key':
      return judgeConfirmation(now, confirmedAt);
  }
}

function judgeConfirmation(now: number, confirmedAt: number | undefined): Verdict {
  const confirm = 'Find the recovery sheet and try it: `authserver backup key confirm`';
  if (confirmedAt === undefined)
    return verdict('', [
      warning(
        'nobody has confirmed that the recovery key is kept: without it no backup can be opened',
        `${confirm}. Where it is lost: \`authserver backup key replace\`.`,
      ),
    ]);
  const age = now - confirmedAt;
  return verdict(`the recovery key was confirmed ${ageText(age)} ago`, [
    age > CONFIRMATION_LASTS
      ? warning(`the recovery key was last confirmed ${ageText(age)} ago`, `${confirm}.`)
      : undefined,
  ]);
}

export function judgeDrills({ drills: { now, since, maxAge, last } }: Pick<Facts, 'drills'>): Verdict {
  const run = 'Rehearse on a copy: `authserver drill run host-loss`';
  if (last === undefined) {
    const finding = 'no disaster was ever rehearsed';
    return verdict('', [warning(now - since <= maxAge ? `${finding} yet` : finding, run)]);
  }
  const age = now - last.at;
  return verdict(`the drill ${last.name} passed ${ageText(age)} ago`, [
    last.passed
      ? undefined
      : failing(
          `the last drill, ${last.name}, failed on ${dayText(last.at)}`,
          '`authserver drill list` says in which step, and why.',
        ),
    age > maxAge
      ? warning(`the last drill was ${ageText(age)} ago, and may be ${ageText(maxAge)}`, run)
      : undefined,
  ]);
}

export function judgeSafetyCopies({ safetyCopies }: Pick<Facts, 'safetyCopies'>): Verdict {
  return verdict('no copies are left from restores and upgrades', [
    kept(safetyCopies, 'restore', () => '`authserver restore forget`'),
    kept(safetyCopies, 'upgrade', (names) => `\`rm ${names.map(shellWord).join(' ')}\``),
  ]);
}

function kept(
  copies: readonly SafetyCopy[],
  from: SafetyCopy['from'],
  remove: (names: readonly string[]) => string,
): Trouble | undefined {
  const those = copies.filter((copy) => copy.from === from);
  if (those.length === 0) return undefined;
  const names = those.map(({ name, size }) => `${name} (${sizeText(size)})`);
  return warning(
    `kept from before ${from === 'restore' ? 'a restore' : 'an upgrade'}: ${names.join(', ')}`,
    `Once you are sure that nobody wants to go back: ${remove(those.map(({ name }) => name))}.`,
  );
}

/** When the last proven backup was made. Where no target can be seen, what the database remembers has to do. */
export function lastVerified({ backups, targets, remembered }: BackupFacts): number | undefined {
  const [newest] = backups
    .filter(({ state }) => state === 'verified')
    .toSorted((a, b) => b.sequence - a.sequence);
  if (newest !== undefined) return newest.madeAt;
  return targets.some(({ trouble }) => trouble !== undefined) ? remembered?.madeAt : undefined;
}
