import { describeScope } from '../registry/catalogue.ts';
import type { Resource } from '../registry/resources.ts';
import { scopeTokens } from '../registry/scopes.ts';
import type { SignInDependencies } from './dependencies.ts';
import { hostInWords } from './host.ts';

/** An application that may act for a user. */
export interface Grant {
  readonly clientId: string;
  readonly clientName: string;
  readonly host: string;
  /** What it may do, in words. */
  readonly permissions: readonly string[];
  readonly since: number;
}

/** A scope that somebody was allowed, somewhere, at some time. */
interface Allowance {
  readonly client_id: string;
  /** Null where a scope was allowed without saying at which resource. */
  readonly resource: string | null;
  readonly scope: string;
  readonly at: number;
}

/** Everything a user has allowed, by application, in the order of their names. */
export async function grantsOf(dependencies: SignInDependencies, userId: string): Promise<readonly Grant[]> {
  const allowances = await allowancesOf(dependencies, userId);
  const catalogue = await dependencies.resources.list();
  const byClient = Map.groupBy(allowances, (allowance) => allowance.client_id);
  const grants = [...byClient].map(async ([clientId, allowed]): Promise<Grant> => {
    const client = await dependencies.clients.find(clientId);
    return {
      clientId,
      clientName: client?.name ?? clientId,
      host: hostInWords(client?.redirect_uris[0] ?? ''),
      permissions: [...new Set(allowed.flatMap((allowance) => inWords(allowance, catalogue)))],
      since: Math.min(...allowed.map(({ at }) => at)),
    };
  });
  return (await Promise.all(grants)).toSorted((a, b) => a.clientName.localeCompare(b.clientName));
}

/** Consents, and the live tokens of applications that need not ask because they belong to the operator. */
async function allowancesOf(
  { consents, families, clock }: SignInDependencies,
  userId: string,
): Promise<readonly Allowance[]> {
  const consented = await consents.listOfUser({ user_id: userId });
  const live = await families.listOfUser({ user_id: userId, now: clock.now() });
  const asked = new Set(consented.map((consent) => consent.client_id));
  const unasked = live.filter((family) => !asked.has(family.client_id));
  return [
    ...consented.map((consent) => ({ ...consent, at: consent.granted_at })),
    ...unasked.map((family) => ({ ...family, resource: null, at: family.created_at })),
  ];
}

function inWords({ resource, scope }: Allowance, catalogue: readonly Resource[]): readonly string[] {
  const possible = catalogue.filter(({ uri }) => resource === null || uri === resource);
  return scopeTokens(scope).map((token) => {
    const owner = possible.find(({ scopes }) => scopes.some(({ name }) => name === token));
    return describeScope(token, owner);
  });
}
