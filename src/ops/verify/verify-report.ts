/** What a verification is asked for, what it tells on the way, and what came of it. */
import { Failure } from '../../kernel/errors.ts';

export interface VerifyRequest {
  /** Which backups: one by its id, the newest, or all of them. */
  readonly which: { readonly id: string } | 'latest' | 'all';
  /** The only target; null for all. */
  readonly target: string | null;
  /**
   * With `all`: of the backups that have passed before, only every n-th is read again, the next part each time; null to
   * restore every one of them.
   */
  readonly part: number | null;
  /** Backups that are gone without a receipt are let go: they are told of once more, and never again. */
  readonly acceptMissing: boolean;
}

export interface VerifyProgress {
  readonly id: string;
  readonly target: string;
  readonly number: number;
  readonly of: number;
  /** What is being done: `reading it`, `letting a canary sign in`. */
  readonly step: string;
  /** ms since it all began. */
  readonly elapsed: number;
}

/** What a deployment has heard of verifications elsewhere. */
export interface LearnReport {
  /** Ids of backups that passed, by signed proofs; each once. */
  readonly verified: readonly string[];
  /** Ids of those that have such a proof to the contrary on some target. */
  readonly failed: readonly string[];
}

/** One copy of a backup. */
export interface Verdict {
  readonly target: string;
  readonly id: string;
  /** ms; null where no record can be believed. */
  readonly made_at: number | null;
  /** `not_tried`: it could not be read now, which says nothing about it. */
  readonly outcome: 'passed' | 'failed' | 'not_tried';
  /** The most that was done: restored and used; every byte read; only looked for. */
  readonly tried: 'restored' | 'bytes' | 'presence';
  readonly findings: readonly string[];
  readonly notes: readonly string[];
  /** How long a restore took, ms; null when it was not restored now. */
  readonly rto_ms: number | null;
  /** ms, when it was last restored and passed; null when it never was, and then its bytes alone prove nothing. */
  readonly proven_at: number | null;
  /** Whether the outcome was written beside the backup. */
  readonly marked: boolean;
}

export interface VerifyReport {
  readonly outcome: 'passed' | 'failed' | 'not_tried';
  readonly backups: readonly Verdict[];
  readonly targets: readonly {
    readonly target: string;
    readonly backups: number;
    /** Why it could not be read; null when it could. */
    readonly problem: string | null;
  }[];
  /** Backups that were there and are gone, though no receipt says that somebody removed them. */
  readonly missing: readonly { readonly target: string; readonly id: string; readonly last_seen: number }[];
  /** ms */
  readonly duration: number;
}

/** The failure that a report stands for; undefined when all is well. */
export function verifyFailure({ outcome, backups, missing, targets }: VerifyReport): Failure | undefined {
  if (outcome === 'passed') return undefined;
  if (outcome === 'failed') {
    const bad = backups
      .filter((verdict) => verdict.outcome === 'failed')
      .map(({ id, target }) => `${id} (${target})`);
    const gone = missing.map(({ id, target }) => `${id} (${target}) is gone`);
    const letGo =
      gone.length === 0
        ? ''
        : ' What somebody has taken away on purpose is let go with `authserver backup verify --all --accept-missing`.';
    return new Failure('failed', `Backups did not pass: ${[...bad, ...gone].join(', ')}.`, {
      hint: `They count for nothing. Make a new one now: \`authserver backup create\`. Then find out what happened to these.${letGo}`,
    });
  }
  const silent = targets.flatMap(({ target, problem }) =>
    problem === null ? [] : [`${target}: ${problem}`],
  );
  const untried = backups.flatMap((verdict) =>
    verdict.outcome === 'not_tried'
      ? [`${verdict.id} (${verdict.target}): ${verdict.notes.at(-1) ?? ''}`]
      : [],
  );
  return new Failure('unavailable', `Not every backup could be tried. ${[...silent, ...untried].join(' ')}`, {
    hint:
      silent.length > 0
        ? 'See whether the targets can be reached, then run the command again.'
        : 'Once that is mended, run the command again.',
  });
}
