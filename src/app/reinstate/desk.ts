import type { AuditTrail } from '../../audit/trail.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { ReinstateDesk } from '../../ops/reinstate/reinstate.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { programVersion } from '../version.ts';
import { laidDown } from './laid-down.ts';

/** What things are put back with, in the process that has the database. */
export function makeReinstateDesk({
  config,
  store,
  audit,
  clock,
}: {
  readonly config: Config;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}): ReinstateDesk {
  return {
    store,
    audit,
    clock,
    program: programVersion(),
    former: (name) => laidDown(config.state_dir, name),
  };
}
