/** Every verb of the store, by aggregate: the one SQL implementation behind both engines. */
import { aftercare } from './aftercare.ts';
import { audit } from './audit.ts';
import { clients } from './clients.ts';
import { codes } from './codes.ts';
import { consents } from './consents.ts';
import { dataKeys } from './data-keys.ts';
import { families } from './families.ts';
import { issuances } from './issuances.ts';
import { keys } from './keys.ts';
import { leases } from './leases.ts';
import { loginFailures } from './login-failures.ts';
import { privateKeys } from './private-keys.ts';
import { purge, purgeable } from './purge.ts';
import { refresh } from './refresh.ts';
import { registrations } from './registrations.ts';
import { reinstate } from './reinstate.ts';
import { requests } from './requests.ts';
import { resources } from './resources.ts';
import { revocations } from './revocations.ts';
import { sessions } from './sessions.ts';
import { deployment, health, replays, settings } from './singles.ts';
import { takeAway } from './take-away.ts';
import { users } from './users.ts';
import type { Families, ReadVerb, VerbName, WriteVerb } from './verb.ts';

export const verbs: Families = {
  deployment,
  users,
  sessions,
  clients,
  resources,
  consents,
  requests,
  codes,
  refresh,
  families,
  issuances,
  registrations,
  replays,
  keys,
  dataKeys,
  privateKeys,
  loginFailures,
  audit,
  settings,
  leases,
  revocations,
  takeAway,
  aftercare,
  reinstate,
  purge,
  purgeable,
  health,
};

type AnyVerb = ReadVerb<unknown, unknown> | WriteVerb<unknown, unknown>;

export function findVerb({ family, verb }: VerbName): AnyVerb {
  const found = (verbs as unknown as Record<string, Record<string, AnyVerb>>)[family]?.[verb];
  if (!found) throw new TypeError(`the store has no verb ${family}.${verb}`);
  return found;
}
