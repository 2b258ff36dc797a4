/** Whether what should happen by itself does, and does not get in its own way. */
import type { Facts } from './facts.ts';
import { failing, type Verdict, verdict, warning } from './finding.ts';
import { ageText, dayText } from './words.ts';

export function judgeSchedules({ schedules }: Pick<Facts, 'schedules'>): Verdict {
  const { now, maxAge, backup, drill, together, lastVerified } = schedules;
  const isCovered = lastVerified !== undefined && now - lastVerified <= maxAge;
  return verdict(`backups at \`${backup}\`, drills at \`${drill}\` (UTC)`, [
    backup === 'off' && !isCovered
      ? failing(
          `backup.schedule is off, and nothing else has made a verified backup in the last ${ageText(maxAge)}`,
          'Set backup.schedule to "0 2 * * *", or see to the timer that runs `authserver backup create`.',
        )
      : undefined,
    together === undefined
      ? undefined
      : warning(
          `a backup and a drill begin at the same minute, first on ${dayText(together)}, and slow each other down`,
          'Move drill.schedule by two hours.',
        ),
  ]);
}

/** The first moment, ms, at which both begin within one minute; `both` are in ascending order. */
export function firstMeeting(one: readonly number[], other: readonly number[]): number | undefined {
  const minute = (at: number) => Math.floor(at / 60_000);
  const minutes = new Set(other.map(minute));
  return one.find((at) => minutes.has(minute(at)));
}
