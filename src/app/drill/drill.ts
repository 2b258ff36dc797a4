/** Drills of this installation: rehearsed in this process, kept by whoever has the database. */
import path from 'node:path';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import { type Random, systemRandom } from '../../kernel/random.ts';
import type { Watch } from '../../kernel/watch.ts';
import { drillNamed } from '../../ops/drill/drills.ts';
import { recordDrill } from '../../ops/drill/record.ts';
import { type DrillReport, signReport } from '../../ops/drill/report.ts';
import { type DrillProgress, runDrill } from '../../ops/drill/run.ts';
import { openSigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { checkSchema } from '../database.ts';
import { type DayTwoVerb, perform } from '../day-two.ts';
import { makeLog } from '../log.ts';
import { settleRestore } from '../restore/finish.ts';
import { prepareStateDir } from '../state-dir.ts';
import { programVersion } from '../version.ts';
import { historyFolder, makeDrillDesk } from './desk.ts';
import type { RecoveryKey } from './origin.ts';
import { type PrepareParts, prepareCopy } from './prepare.ts';

export interface DrillRequest {
  readonly name: string;
  /** Undefined for a copy of the present state; otherwise the newest backup is opened with it. */
  readonly key: RecoveryKey | undefined;
}

export interface RehearseParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sabotage?: PrepareParts['sabotage'];
  /** How soon, ms, a start has to say which key is missing. */
  readonly naming?: number;
}

const NAMING = 1000;

/** Rehearses, and keeps nothing of it. Failures: `invalid_input` for a name, those of `runDrill`. */
export function rehearse(
  config: Config,
  { name, key }: DrillRequest,
  parts: RehearseParts,
  watch: Watch<DrillProgress>,
): Promise<DrillReport> {
  const { clock, random, naming = NAMING } = parts;
  return runDrill(
    drillNamed(name),
    {
      clock,
      ids: makeIds(clock, random),
      program: programVersion(),
      limits: { naming, lag: config.recovery.max_lag },
      prepare: ({ progress, signal }) =>
        prepareCopy(
          config,
          { ...parts, key },
          { signal, progress: ({ step }) => progress({ step, number: 1, elapsed: 0 }) },
        ),
    },
    watch,
  );
}

/**
 * Rehearses in this process, whether a server runs or not: the recovery key goes nowhere, and the server serves. Then the
 * signed report is handed to whoever has the database.
 * Failures: those of `checkSchema`, of `rehearse` and of `perform`.
 */
export async function drillNow(
  config: Config,
  request: DrillRequest,
  watch: Watch<DrillProgress>,
): Promise<{ readonly report: DrillReport; readonly file: string }> {
  await settleRestore(config);
  prepareStateDir(config.state_dir);
  // Where there is no database, there is nothing to rehearse, and nowhere to keep the report.
  await checkSchema(config);
  const log = makeLog(config.observability.logging);
  const report = await rehearse(config, request, { clock: systemClock, random: systemRandom, log }, watch);
  const signed = await signReport(report, openSigningKey(config.state_dir, systemRandom));
  const { signal } = watch;
  await perform(config, recordVerb(signed), { progress: () => undefined, signal });
  return { report, file: path.join(historyFolder(config), report.id) };
}

function recordVerb(signed: string): DayTwoVerb<never, DrillReport> {
  return {
    path: '/admin/drills',
    body: { report: signed },
    here: (workshop) => recordDrill(makeDrillDesk(workshop), signed, { actor: 'admin:operator', ip: null }),
  };
}
