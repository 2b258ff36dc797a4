/** What a check of the doctor says. */

export type Status = 'ok' | 'warn' | 'fail' | 'skipped';

export interface Verdict {
  readonly status: Status;
  /** What was found, in words without a full stop. */
  readonly finding: string;
  /** What to do next; null where there is nothing to do. */
  readonly hint: string | null;
}

export interface Finding extends Verdict {
  /** The id of the check. */
  readonly check: string;
  readonly title: string;
}

/** One thing that is wrong. */
export interface Trouble {
  readonly status: 'warn' | 'fail';
  readonly finding: string;
  readonly hint: string;
}

export function warning(finding: string, hint: string): Trouble {
  return { status: 'warn', finding, hint };
}

export function failing(finding: string, hint: string): Trouble {
  return { status: 'fail', finding, hint };
}

export function skipped(reason: string): Verdict {
  return { status: 'skipped', finding: reason, hint: null };
}

/** As bad as the worst trouble, which comes first; `fine` is what is said where there is none. */
export function verdict(fine: string, troubles: readonly (Trouble | undefined)[]): Verdict {
  const found = troubles.filter((trouble) => trouble !== undefined);
  const sorted = found.toSorted((a, b) => Number(b.status === 'fail') - Number(a.status === 'fail'));
  const [worst] = sorted;
  if (worst === undefined) return { status: 'ok', finding: fine, hint: null };
  return {
    status: worst.status,
    finding: sorted.map(({ finding }) => finding).join('; '),
    hint: [...new Set(sorted.map(({ hint }) => hint))].join(' '),
  };
}
