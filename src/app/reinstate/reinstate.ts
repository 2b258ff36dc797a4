/** `authserver restore --only`: single things out of a backup, into the database that is served. */
import { systemClock } from '../../kernel/clock.ts';
import { makeIds } from '../../kernel/ids.ts';
import { systemRandom } from '../../kernel/random.ts';
import { reinstate } from '../../ops/reinstate/reinstate.ts';
import type { ConflictPolicy, ReinstateReport, ReinstateRequest } from '../../ops/reinstate/report.ts';
import type { Config } from '../config.ts';
import { type DayTwoVerb, perform } from '../day-two.ts';
import { programVersion } from '../version.ts';
import { makeReinstateDesk } from './desk.ts';
import { layDown, takeUp } from './laid-down.ts';
import { type PickRequest, pick } from './pick.ts';

export interface TakeBackRequest extends PickRequest {
  readonly on_conflict: ConflictPolicy;
}

/** The rows are out of the backup. Disposed of, they are gone again. */
export interface TakeBack extends AsyncDisposable {
  /** Writes nothing. Failures: as `reinstate`. */
  plan(signal: AbortSignal): Promise<ReinstateReport>;
  /** Failures: as `reinstate`. */
  run(signal: AbortSignal): Promise<ReinstateReport>;
}

/** Reads the things out of the backup. Failures: as `pick`. */
export async function prepareTakeBack(
  config: Config,
  { on_conflict, ...request }: TakeBackRequest,
  signal: AbortSignal,
): Promise<TakeBack> {
  const rows = makeIds(systemClock, systemRandom).next('rows');
  const dispose = () => takeUp(config.state_dir, rows);
  try {
    const now = systemClock.now();
    const picked = await pick(
      config,
      request,
      (found) => layDown(config.state_dir, rows, found, now),
      signal,
    );
    const asked = { ...picked, rows, on_conflict, program: programVersion() };
    const ask = (dry_run: boolean, stop: AbortSignal) =>
      perform(config, reinstateVerb({ ...asked, dry_run }), { progress: () => undefined, signal: stop });
    return {
      plan: (stop) => ask(true, stop),
      run: (stop) => ask(false, stop),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** In the server that runs here, or in this process. */
function reinstateVerb(request: ReinstateRequest): DayTwoVerb<never, ReinstateReport> {
  return {
    path: '/admin/reinstate',
    body: request,
    here: (workshop, watch) =>
      reinstate(makeReinstateDesk(workshop), request, watch, { actor: 'admin:operator', ip: null }),
  };
}
