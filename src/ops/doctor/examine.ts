/**
 * doctor: looks at an installation and says what is wrong with it, before it goes wrong. It changes nothing. A check is a pure
 * function over facts (facts.ts); what there is to check is the one list in checks.ts.
 */
import { closest } from '../../kernel/closest.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Absent, Facts, Sources } from './facts.ts';
import { type Finding, skipped, type Verdict } from './finding.ts';

export interface Check {
  readonly id: string;
  /** What it is about, in a few words. */
  readonly title: string;
  readonly needs: readonly (keyof Facts)[];
  run(facts: Facts): Verdict;
}

/** A check that sees only the facts which it names. */
export function check<Need extends keyof Facts>(
  id: string,
  title: string,
  needs: readonly Need[],
  run: (facts: Pick<Facts, Need>) => Verdict,
): Check {
  return { id, title, needs, run };
}

/** The checks with these ids; all of them for undefined. Failures: `invalid_input`. */
export function chooseChecks(
  checks: readonly Check[],
  only: readonly string[] | undefined,
): readonly Check[] {
  if (only === undefined) return checks;
  const ids = checks.map(({ id }) => id);
  const unknown = only.find((id) => !ids.includes(id));
  if (unknown === undefined && only.length > 0) return checks.filter(({ id }) => only.includes(id));
  const meant = unknown === undefined ? undefined : closest(unknown, ids);
  throw new Failure(
    'invalid_input',
    unknown === undefined ? 'No check is named.' : `There is no check "${unknown}".`,
    { hint: `${meant === undefined ? '' : `Did you mean ${meant}? `}Checks: ${ids.join(', ')}.` },
  );
}

/** Runs the checks in their order. Never throws: what cannot be examined is a finding. */
export async function examine(checks: readonly Check[], sources: Sources): Promise<readonly Finding[]> {
  const gathered = new Map<keyof Facts, Promise<Gathered>>();
  const gather = (name: keyof Facts) => {
    const known = gathered.get(name) ?? attempt(sources[name]);
    gathered.set(name, known);
    return known;
  };
  const findings: Finding[] = [];
  for (const each of checks) {
    const verdict = await judge(each, gather);
    findings.push({ check: each.id, title: each.title, ...verdict });
  }
  return findings;
}

/** A fact, or what is said of every check that needs it. */
type Gathered = { readonly fact: unknown } | { readonly verdict: Verdict };

async function attempt(source: () => Promise<unknown>): Promise<Gathered> {
  try {
    const fact = await source();
    return isAbsent(fact) ? { verdict: skipped(fact.absent) } : { fact };
  } catch (error) {
    return { verdict: unexamined(error) };
  }
}

async function judge(
  { needs, run }: Check,
  gather: (name: keyof Facts) => Promise<Gathered>,
): Promise<Verdict> {
  const facts: Partial<Record<keyof Facts, unknown>> = {};
  for (const name of needs) {
    const found = await gather(name);
    if ('verdict' in found) return found.verdict;
    facts[name] = found.fact;
  }
  return run(facts as Facts);
}

function isAbsent(fact: unknown): fact is Absent {
  return typeof fact === 'object' && fact !== null && 'absent' in fact;
}

/** Nobody may take what was not looked at for what is well. */
function unexamined(error: unknown): Verdict {
  const { message, detail, hint } = asFailure(error);
  const why = detail === undefined ? '' : ` (${detail.split('\n')[0]})`;
  return {
    status: 'fail',
    finding: `could not be examined: ${message.replace(/\.$/, '')}${why}`,
    hint: hint ?? 'See that this user may read what belongs to the server, then run it again.',
  };
}
