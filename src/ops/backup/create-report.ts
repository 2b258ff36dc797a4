/** What the making of a backup tells: how far it is, and what came of it. */
import { Failure } from '../../kernel/errors.ts';
import type { LeaseRecord } from '../../store/records.ts';
import type { Proof } from '../verify/proof.ts';

export interface CreateProgress {
  readonly step: 'snapshot' | 'publish' | 'verify';
  /** The target, or what is tried. */
  readonly what: string;
  readonly done: number;
  readonly unit: 'rows' | 'bytes' | 'steps';
  /** 0 to 1; null where nobody can tell. */
  readonly share: number | null;
  /** ms since the step began. */
  readonly elapsed: number;
}

export interface TargetOutcome {
  readonly target: string;
  /** `damaged`: it was published, and what was read back was something else. */
  readonly outcome: 'published' | 'verified' | 'damaged' | 'failed';
  /** Why it is not there, or not as it should be; also for one that could not be read back. */
  readonly reason: string | null;
}

export interface CreateReport {
  /** `verified`: restored, tried, and on every target. `made`: on every target, and not tried because nobody wanted it. */
  readonly outcome: 'verified' | 'made' | 'failed' | 'held';
  readonly id: string | null;
  readonly sequence: number | null;
  /** ms */
  readonly made_at: number;
  readonly rows: number;
  /** Bytes of the archive. */
  readonly size: number;
  readonly sha256: string | null;
  readonly encryption: {
    readonly kind: 'age' | 'passphrase' | 'none';
    readonly recipients: readonly string[];
  } | null;
  readonly targets: readonly TargetOutcome[];
  /** Null when it was not tried. */
  readonly proof: Proof | null;
  /** Why it could not be tried, though it should have been. */
  readonly not_proven: string | null;
  /** ms, all of it. */
  readonly duration: number;
  /** ms, until the last target had it. */
  readonly published_after: number | null;
  /** Who makes one already, with the outcome `held`. */
  readonly held_by: { readonly runner: string; readonly since: number } | null;
}

export function heldReport(now: number, by: LeaseRecord | undefined): CreateReport {
  return {
    outcome: 'held',
    id: null,
    sequence: null,
    made_at: now,
    rows: 0,
    size: 0,
    sha256: null,
    encryption: null,
    targets: [],
    proof: null,
    not_proven: null,
    duration: 0,
    published_after: null,
    held_by: by ? { runner: by.holder, since: by.acquired_at } : null,
  };
}

/** Whether it is anywhere. */
export function isStored({ targets }: Pick<CreateReport, 'targets'>): boolean {
  return targets.some(({ outcome }) => outcome !== 'failed');
}

/** What has a backup tried that was not: the server itself cannot open it any more. */
export function verifyCommand(id: string, kind: 'age' | 'passphrase' | 'none' | undefined): string {
  return `authserver backup verify ${id}${kind === 'age' ? ' --recovery-key FILE' : ''}`;
}

/** One good copy is a backup, even when another target is away. */
export function isProven({ proof, targets }: Pick<CreateReport, 'proof' | 'targets'>): boolean {
  return proof?.passed === true && targets.some(({ outcome }) => outcome === 'verified');
}

/** Where the backup is as it was asked for: proven, or only there where nobody wanted it tried. */
export function targetsWell({ targets, proof, not_proven }: CreateReport): readonly string[] {
  const wanted = proof === null && not_proven === null ? 'published' : 'verified';
  return targets
    .filter(({ outcome, reason }) => outcome === wanted && reason === null)
    .map(({ target }) => target);
}

/** The failure that a report stands for; undefined when all is well. */
export function createFailure(report: CreateReport): Failure | undefined {
  const { outcome, id, targets, proof, not_proven, held_by, encryption } = report;
  if (outcome === 'held') {
    const who = held_by
      ? `${held_by.runner} makes one since ${new Date(held_by.since).toISOString()}`
      : 'another one is made';
    return new Failure('conflict', `No backup was made: ${who}.`, {
      hint: 'Run the command again when that is done.',
    });
  }
  if (outcome !== 'failed') return undefined;
  const wrong = targets.filter(({ reason }) => reason !== null);
  const which = wrong.map(({ target, reason }) => `${target}: ${reason}`).join(' ');
  if (!isStored(report)) {
    return new Failure('unavailable', `No backup was made: no target took it. ${which}`, {
      hint: 'Once one does, make another: `authserver backup create`.',
    });
  }
  if (not_proven !== null) {
    return new Failure('failed', `The backup was made, and could not be tried: ${not_proven}`, {
      hint: `Once that is mended: ${verifyCommand(String(id), encryption?.kind)}`,
    });
  }
  if (proof && !proof.passed) {
    return new Failure(
      'failed',
      `The backup was made, and did not pass: ${proof.findings.join('; ').replace(/\.$/, '')}.`,
      {
        hint: 'It is kept to be looked at, and counts for nothing. `authserver doctor` looks at this installation.',
      },
    );
  }
  return new Failure('failed', `The backup is not on every target as it should be. ${which}`, {
    hint: 'What the other targets have is complete. Once that is mended, make another one: `authserver backup create`.',
  });
}
