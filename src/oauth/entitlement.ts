import { OAuthError } from '../http/oauth-error.ts';
import type { Resource, Resources } from '../registry/resources.ts';
import {
  formatScope,
  intersectScopes,
  openidScopes,
  parseScope,
  scopeTokens,
  scopeWithin,
} from '../registry/scopes.ts';

/** A scope and the audiences it is for. The issuer itself stands among them when no resource was named. */
export interface Entitlement {
  readonly scope: string;
  readonly resources: readonly string[];
}

/** With the resources behind the indicators; the issuer is none. */
interface FoundEntitlement extends Entitlement {
  readonly targets: readonly Resource[];
}

export interface Ask {
  /** The `scope` parameter. */
  readonly scope: string | undefined;
  /** The `resource` parameters (RFC 8707). */
  readonly resources: readonly string[];
  /** What one gets who names neither. */
  readonly defaultScope: string;
  /** What the client may have at most; null where only the user's consent bounds it. */
  readonly ceiling: string | null;
}

/**
 * What a request may ask for: named resources must exist, scopes must be the server's own or in the catalogue of a
 * resource asked for, and within the client's ceiling. Without a `resource` the audience follows from the scopes: the
 * issuer, and every resource that owns one of them.
 * @throws OAuthError `invalid_scope` or `invalid_target`
 */
export async function checkAsk(
  ask: Ask,
  { issuer, resources }: { issuer: string; resources: Resources },
): Promise<FoundEntitlement> {
  const named = await findAll(ask.resources, resources);
  const scope = ask.scope === undefined ? defaultScope(ask, named) : readScope(ask.scope);
  if (ask.ceiling !== null && !scopeWithin(scope, ask.ceiling)) {
    throw new OAuthError('invalid_scope', 'The client may not ask for all of this scope.', {
      detail: `asked for "${scope}", ceiling "${ask.ceiling}"`,
    });
  }
  if (named.length > 0) {
    refuseUnknown(scope, named);
    return { scope, resources: named.map(({ uri }) => uri), targets: named };
  }
  const foreign = scopeTokens(scope).filter((token) => !Object.hasOwn(openidScopes, token));
  const owners =
    foreign.length === 0 ? [] : (await resources.list()).filter((resource) => ownsAny(resource, foreign));
  refuseUnknown(scope, owners);
  return { scope, resources: [issuer, ...owners.map(({ uri }) => uri)], targets: owners };
}

/** The resources of an audience, each read once; the issuer itself is none. */
export async function findTargets(
  audience: readonly string[],
  { issuer, resources }: { issuer: string; resources: Resources },
): Promise<readonly Resource[]> {
  const found: Resource[] = [];
  for (const uri of audience) {
    const resource = uri === issuer ? undefined : await resources.find(uri);
    if (resource) found.push(resource);
  }
  return found;
}

/** The part of a scope that means something to an audience: what an access token for it carries. */
export function scopeForAudience(
  scope: string,
  audience: readonly string[],
  targets: readonly Resource[],
  issuer: string,
): string {
  const own = audience.includes(issuer) ? Object.keys(openidScopes) : [];
  const theirs = targets.flatMap(({ scopes }) => scopes.map(({ name }) => name));
  return intersectScopes(scope, formatScope([...own, ...theirs]));
}

function readScope(text: string): string {
  const tokens = parseScope(text);
  if (!tokens)
    throw new OAuthError('invalid_scope', 'The scope is not a list of scope tokens (RFC 6749 section 3.3).');
  return formatScope(tokens);
}

/** Who names resources but no scope gets what they offer; who names nothing gets the server's default. */
function defaultScope(ask: Ask, named: readonly Resource[]): string {
  const offered =
    named.length === 0
      ? ask.defaultScope
      : formatScope(named.flatMap(({ scopes }) => scopes.map(({ name }) => name)));
  return ask.ceiling === null ? offered : intersectScopes(offered, ask.ceiling);
}

async function findAll(uris: readonly string[], resources: Resources): Promise<readonly Resource[]> {
  const found: Resource[] = [];
  for (const uri of new Set(uris)) {
    const resource = await resources.find(uri);
    if (!resource) {
      throw new OAuthError('invalid_target', 'The resource is not one that this server issues tokens for.', {
        detail: `resource ${JSON.stringify(uri.slice(0, 200))}`,
        hint: 'Register it with `authserver admin resource create`.',
      });
    }
    found.push(resource);
  }
  return found;
}

function refuseUnknown(scope: string, resources: readonly Resource[]): void {
  const unknown = scopeTokens(scope).filter(
    (token) =>
      !Object.hasOwn(openidScopes, token) && !resources.some((resource) => ownsAny(resource, [token])),
  );
  if (unknown.length === 0) return;
  throw new OAuthError('invalid_scope', 'The scope has a token that no resource of this request offers.', {
    detail: `unknown: ${unknown.join(' ').slice(0, 200)}`,
  });
}

function ownsAny(resource: Resource, tokens: readonly string[]): boolean {
  return resource.scopes.some(({ name }) => tokens.includes(name));
}
