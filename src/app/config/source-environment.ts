import type { Fault } from './fault.ts';
import { keys } from './keys.ts';
import type { Environment, Source, Written } from './source.ts';
import { suggest } from './suggest.ts';

/** `--config` by another way. */
export const CONFIG_VARIABLE = 'AUTHSERVER_CONFIG';
/** `--recovery-key` by another way. */
export const RECOVERY_KEY_VARIABLE = 'AUTHSERVER_RECOVERY_KEY_FILE';

/** The variables of ours that are no keys. */
const OTHERS: readonly string[] = [CONFIG_VARIABLE, RECOVERY_KEY_VARIABLE];

/**
 * Kubernetes and Docker describe each service to its neighbours in variables named after it, and a service called
 * `authserver` is likely; they are not meant for us.
 */
const SERVICE_LINK = /_SERVICE_(HOST|PORT)(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

const pathOf: ReadonlyMap<string, string> = new Map(keys.map(({ path, variable }) => [variable, path]));

/** Reads `AUTHSERVER_*`. An empty variable counts as not set. */
export function readEnvironment(env: Environment): Source {
  const values = new Map<string, Written>();
  const faults: Fault[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (!value || !variable.startsWith('AUTHSERVER_') || OTHERS.includes(variable)) continue;
    const path = pathOf.get(variable);
    const origin = { from: 'environment', variable } as const;
    if (path !== undefined) values.set(path, { value, origin });
    else if (!SERVICE_LINK.test(variable)) {
      const hint = suggest(variable, [...pathOf.keys()]) ?? 'Unset it.';
      faults.push({ path: variable, origin, problem: 'is not a known variable', hint });
    }
  }
  return { values, faults };
}
