/** Whether the clock of this machine can be believed. Nobody else's is asked. */
import type { Facts } from './facts.ts';
import { failing, type Verdict, verdict } from './finding.ts';
import { ageText, dayText } from './words.ts';

/** Rows of other servers may be as much younger, ms. */
const TOLERANCE = 60_000;
/** No installation is older than the program. */
const EARLIEST = Date.UTC(2025, 0, 1);
const LATEST = Date.UTC(2100, 0, 1);

const HINT =
  'Set the clock, and let the machine keep it by NTP (`timedatectl status` shows whether it does).';

export function judgeClock({ clock: { now, known } }: Pick<Facts, 'clock'>): Verdict {
  const newest = known.toSorted((a, b) => b.at - a.at)[0];
  const troubles = [];
  if (now < EARLIEST || now > LATEST)
    troubles.push(failing(`the clock says ${dayText(now)}, which cannot be`, HINT));
  if (newest !== undefined && now < newest.at - TOLERANCE)
    troubles.push(
      failing(
        `the clock says ${dayText(now)}, and ${newest.what} is from ${dayText(newest.at)}: ${ageText(newest.at - now)} later`,
        `${HINT} If it was ahead before: tokens made meanwhile live on as long, and \`authserver keys verify\` names keys of the future.`,
      ),
    );
  return verdict(`the clock says ${dayText(now)}, and nothing here is from later`, troubles);
}
