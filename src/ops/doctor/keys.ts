/** Whether the signing keys can sign. */
import type { KeyFinding } from '../../keys/inspection.ts';
import type { Facts } from './facts.ts';
import { failing, type Trouble, type Verdict, verdict, warning } from './finding.ts';

export function judgeKeys({ keys: { findings } }: Pick<Facts, 'keys'>): Verdict {
  const kids = new Set(findings.map(({ kid }) => kid));
  return verdict(
    `${kids.size} signing ${kids.size === 1 ? 'key is' : 'keys are'} what the database says, and where it says`,
    findings.map(keyTrouble),
  );
}

function keyTrouble({ kid, state, ok, finding, repair }: KeyFinding): Trouble | undefined {
  if (ok) return undefined;
  const hint = repair === null ? 'See `authserver keys verify`.' : `${repair}.`;
  if (kid === '-') return failing(finding, hint);
  // What the database does not know is not used by anybody.
  return state === 'unknown' ? warning(finding, hint) : failing(`the ${state} key ${kid}: ${finding}`, hint);
}
