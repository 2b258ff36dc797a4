/**
 * ops/restore: bringing a state back. What is asked, what would become of it, and whether it may be done, is decided here;
 * which engine it is, and where files lie, it must not know.
 */
import { Failure } from '../../kernel/errors.ts';

/** Whether those who were signed in stay so. */
export type SessionFate = 'keep' | 'end';

/** What is known before anything is done. Times are ms. */
export interface RestoreFacts {
  readonly now: number;
  readonly backup: BackupFacts;
  /** The moment to go back to; undefined: as far as there is anything. */
  readonly to: number | undefined;
  /** How far the recovery log goes on from the backup; undefined where it does not. */
  readonly log: LogFacts | undefined;
  /** A log knows what came after the backup, whether the rows are taken on by it or not. */
  readonly isLogged: boolean;
  readonly sessions: SessionFate;
  readonly unverified: boolean;
  readonly destination: DestinationFacts;
  readonly deployment: DeploymentFacts;
  /** Schema steps between the backup and this program. */
  readonly schemaSteps: readonly string[];
  /** Bytes: what has to be free, and what is, and where; null where nobody can tell. */
  readonly room: { readonly needed: number; readonly free: number | null; readonly at?: string };
  /** What could not be found out on the way to the backup. */
  readonly doubts?: readonly string[];
}

export interface BackupFacts {
  readonly id: string;
  readonly place: string;
  readonly deployment_id: string;
  /** The version that made it; null where another program did. */
  readonly program: string | null;
  readonly made_at: number;
  /** Everything that was committed by `from` is in it, and nothing that was begun after `to`. */
  readonly recovery_point: { readonly from: number; readonly to: number };
  /** Of the archive, bytes. */
  readonly size: number;
  readonly verified_at: number | null;
  /** How long it took to restore it, when it was proven. */
  readonly rto_ms: number | null;
  /** What is wrong with it as it lies there. */
  readonly faults: readonly string[];
}

export interface LogFacts {
  readonly reaches: number;
  /** It ends where the database ended: nothing that was committed is missing. */
  readonly complete: boolean;
  /** Why it goes no further; empty where it ends in good order. */
  readonly faults?: readonly string[];
}

export interface DestinationFacts {
  /** As an operator would write it. */
  readonly place: string;
  /** What the present state is called afterwards; null where there is none. */
  readonly kept_as: string | null;
  /** Why the present database cannot be read; null where it can, or there is none. */
  readonly unreadable: string | null;
  /** What was taken away since, as far as the present database knows; null where it cannot be read. */
  readonly revocations: number | null;
  /** Another place than the one that is served: it has to be empty, and nothing is swapped. */
  readonly isElsewhere: boolean;
}

export interface DeploymentFacts {
  /** Of the state directory, the present database or the recovery sheet: whoever knows. */
  readonly known: readonly { readonly id: string; readonly from: string }[];
  /** The one that somebody named. */
  readonly accepted: string | undefined;
}

/** What would be done, as it is shown before it is confirmed. */
export interface RestorePlan {
  readonly backup: BackupFacts;
  readonly deployment: string;
  readonly into: string;
  readonly kept_as: string | null;
  /** The state that there will be is that of this moment. */
  readonly restored_to: number;
  /** What happened from then on is not in it; null where nothing is missing. */
  readonly lost: { readonly from: number; readonly to: number } | null;
  readonly sessions: SessionFate;
  readonly schema_steps: readonly string[];
  readonly room: { readonly needed: number; readonly free: number | null };
  readonly notes: readonly string[];
}

export interface Judgement {
  readonly plan: RestorePlan;
  /** Why it may not be done; empty when it may. */
  readonly obstacles: readonly Failure[];
}

/** What would be done, and what stands in the way of it. */
export function judge(facts: RestoreFacts): Judgement {
  const { backup, destination, now, log } = facts;
  const restoredTo = restoredToOf(facts);
  const isWhole = log?.complete === true && facts.to === undefined;
  const plan: RestorePlan = {
    backup,
    deployment: backup.deployment_id,
    into: destination.place,
    kept_as: destination.kept_as,
    restored_to: restoredTo,
    lost: isWhole ? null : { from: restoredTo, to: now },
    sessions: facts.sessions,
    schema_steps: facts.schemaSteps,
    room: { needed: facts.room.needed, free: facts.room.free },
    notes: notesOn(facts),
  };
  const checks = [checkBackup, checkDeployment, checkTime, checkSessions, checkRoom];
  return { plan, obstacles: checks.flatMap((check) => check(facts) ?? []) };
}

function restoredToOf({ backup, to, log }: RestoreFacts): number {
  const { from } = backup.recovery_point;
  return log === undefined ? from : Math.max(from, Math.min(to ?? Number.POSITIVE_INFINITY, log.reaches));
}

function notesOn({ destination, isLogged, backup, unverified, doubts = [] }: RestoreFacts): string[] {
  const notes = [...doubts];
  if (destination.unreadable !== null) {
    notes.push(
      `The present database cannot be read (${destination.unreadable}); it is kept as it is. Access that it took away since is known only as far as the recovery log tells.`,
    );
  } else if (destination.revocations === null && !destination.isElsewhere && !isLogged) {
    notes.push(
      'There is neither a present database nor a recovery log: what was revoked, disabled or changed since is in force again.',
    );
  }
  if (backup.verified_at === null && unverified) notes.push('This backup was never proven by restoring it.');
  return notes;
}

function checkBackup({ backup, unverified }: RestoreFacts): Failure | undefined {
  const [fault] = backup.faults;
  if (fault !== undefined) {
    return new Failure('refused', `The backup ${backup.id} cannot be used: ${fault}.`, {
      detail: backup.place,
      hint: 'Use another copy of it (`--target`), or another backup: `authserver backup list`.',
    });
  }
  if (backup.verified_at !== null || unverified) return undefined;
  return new Failure('refused', `The backup ${backup.id} was never proven by restoring it.`, {
    detail: backup.place,
    hint: `Prove it: \`authserver backup verify ${backup.id}\`. Or take it as it is: say --unverified; what it holds is compared with its manifest all the same.`,
  });
}

function checkDeployment({ backup, deployment }: RestoreFacts): Failure | undefined {
  const { known, accepted } = deployment;
  const found = backup.deployment_id;
  if (accepted === found) return undefined;
  const accept = `If that is the one you mean: --accept-deployment ${found}`;
  if (accepted !== undefined) {
    return new Failure('refused', `The backup is of deployment ${found}, not of ${accepted}.`, {
      hint: `${accept}.`,
    });
  }
  const other = known.find(({ id }) => id !== found);
  if (!other) return undefined;
  return new Failure(
    'refused',
    `The backup is of deployment ${found}, and ${other.from} belongs to deployment ${other.id}.`,
    { hint: `See that the settings and the backup are the right ones. ${accept}.` },
  );
}

function checkTime({ to, backup, log, now }: RestoreFacts): Failure | undefined {
  if (to === undefined) return undefined;
  const { recovery_point } = backup;
  const shown = (time: number) => new Date(time).toISOString();
  if (to > now) {
    return new Failure('invalid_input', `${shown(to)} has not come yet.`, {
      hint: 'Name a moment that has passed.',
    });
  }
  if (to < recovery_point.to) {
    return new Failure(
      'refused',
      `The backup ${backup.id} is of ${shown(recovery_point.to)}, later than that.`,
      {
        hint: 'Name an earlier backup, or --latest, which finds the one to begin with.',
      },
    );
  }
  if (log !== undefined && to <= log.reaches) return undefined;
  const reach = log === undefined ? 'does not go on from this backup' : `ends at ${shown(log.reaches)}`;
  const moment =
    log === undefined
      ? 'Where no backup is named, --to finds the one to begin with'
      : `Name a moment until ${shown(log.reaches)}`;
  const faults = log?.faults ?? [];
  return new Failure('refused', `The recovery log ${reach}, so ${shown(to)} cannot be reached.`, {
    ...(faults.length > 0 && { detail: faults.join('; ') }),
    hint: `${moment}; \`authserver backup list\` shows which there are. Without --to the backup itself is restored.`,
  });
}

function checkSessions({ sessions, log, to }: RestoreFacts): Failure | undefined {
  if (sessions === 'end' || (log?.complete === true && to === undefined)) return undefined;
  return new Failure('refused', 'Sessions can be kept only where the recovery log reaches the very end.', {
    detail: 'a session or a refresh token that was ended or used since would be in force again',
    hint: 'Leave --sessions=keep out: people sign in again, and lose nothing else.',
  });
}

function checkRoom({ room, destination }: RestoreFacts): Failure | undefined {
  if (room.free === null || room.free >= room.needed) return undefined;
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  return new Failure(
    'refused',
    `There is too little room ${room.at === undefined ? `beside ${destination.place}` : `in ${room.at}`}.`,
    {
      detail: `${mib(room.needed)} are needed for the new state beside the present one, ${mib(room.free)} are free`,
      hint: 'Make room there (`authserver restore forget` lets go of what an earlier restore has kept), or restore elsewhere with --into.',
    },
  );
}
