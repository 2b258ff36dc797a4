/** One drill, from its copy to its report. */
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Ids } from '../../kernel/ids.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { Drill, DrillLimits } from './drill.ts';
import type { Ground } from './ground.ts';
import { DrillEnded, Recorder } from './recorder.ts';
import type { DrillReport, DrillSource } from './report.ts';

export interface DrillParts {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly program: string;
  readonly limits: DrillLimits;
  /** Makes the copy. Failures: whatever keeps it from being made; then there is no drill, and no report. */
  prepare(watch: Watch<DrillProgress>): Promise<Prepared>;
}

/** A copy, and what it was made from. */
export interface Prepared {
  readonly ground: Ground;
  readonly deploymentId: string;
  readonly engine: DrillReport['engine'];
  readonly source: DrillSource;
}

export interface DrillProgress {
  readonly step: string;
  /** Steps so far, this one included. */
  readonly number: number;
  /** ms since the drill began. */
  readonly elapsed: number;
}

const COPY_STEP = 'a copy of the installation is made';

/**
 * Rehearses on a copy, which is gone afterwards. What went wrong in it is in the report.
 * Failures: those of making the copy; `refused` where there is nothing to rehearse; `interrupted`.
 */
export async function runDrill(
  drill: Drill,
  { clock, ids, program, limits, prepare }: DrillParts,
  { progress, signal }: Watch<DrillProgress>,
): Promise<DrillReport> {
  const at = clock.now();
  const began = performance.now();
  let number = 0;
  const begin = (step: string) => {
    number += 1;
    progress({ step, number, elapsed: Math.round(performance.now() - began) });
  };
  const recorder = new Recorder(clock, signal, begin);
  const { ground, deploymentId, engine, source } = await recorder.prepare(COPY_STEP, (say) =>
    prepare({
      signal,
      progress: ({ step }) => progress({ step, number, elapsed: Math.round(performance.now() - began) }),
    }).then((prepared) => {
      say(copyText(prepared.source));
      return prepared;
    }),
  );
  await using copy = ground;
  refuseIdle(drill, copy);
  await drill.run({ ground: copy, recorder, limits }).catch((error: unknown) => {
    if (!(error instanceof DrillEnded)) throw error;
  });
  const { steps, rpo, rto } = recorder;
  return {
    type: 'authserver.drill-report',
    format: 1,
    id: ids.next('drl'),
    drill: drill.name,
    summary: drill.summary,
    at,
    ms: Math.round(performance.now() - began),
    program,
    deployment_id: deploymentId,
    engine,
    source,
    passed: steps.every(({ outcome }) => outcome === 'done'),
    rpo_ms: rpo,
    rto_ms: rto,
    steps,
    notes: copy.notes,
  };
}

function refuseIdle({ name, idle }: Drill, ground: Ground): void {
  const reason = idle?.(ground);
  if (reason === undefined) return;
  throw new Failure('refused', `The drill ${name} has nothing to rehearse here. ${reason}`, {
    hint: 'Rehearse host-loss instead: it brings everything back.',
  });
}

function copyText({ backup, made_at }: DrillSource): string {
  const from = new Date(made_at).toISOString();
  return backup === null
    ? `From a backup that was made for it, of ${from}, and that nobody keeps.`
    : `From the backup ${backup} of ${from}, opened with the recovery key.`;
}
