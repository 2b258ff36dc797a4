import { OAuthError } from '../http/oauth-error.ts';
import type { Client } from '../registry/clients.ts';
import type { Resource, Resources } from '../registry/resources.ts';
import {
  formatScope,
  ignoredScopes,
  intersectScopes,
  openidScopes,
  parseScope,
  scopeTokens,
  scopeWithin,
} from '../registry/scopes.ts';

/** A scope and the audiences it is for. The issuer itself is one of them where it is named, or nothing is. */
export interface Entitlement {
  readonly scope: string;
  readonly resources: readonly string[];
}

/** With the resources behind the indicators; the issuer is none. */
interface FoundEntitlement extends Entitlement {
  readonly targets: readonly Resource[];
}

/** What a stored request, and a look through the catalogue, may cost us. */
const LONGEST_SCOPE = 4096;
const MOST_RESOURCES = 16;

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
  const audience = readAudience(ask.resources);
  const named = await findNamed(audience, issuer, resources);
  const asked = ask.scope === undefined ? defaultScope(ask, named, issuer) : readScope(ask.scope);
  const targets = audience.length > 0 ? named : await ownersOf(asked, resources);
  const scope = withoutIgnored(asked, targets);
  if (ask.ceiling !== null && !scopeWithin(scope, ask.ceiling)) {
    throw new OAuthError('invalid_scope', 'The client may not ask for all of this scope.', {
      detail: `asked for "${scope}", ceiling "${ask.ceiling}"`,
    });
  }
  refuseUnknown(scope, targets);
  if (audience.length > 0) return { scope, resources: audience, targets };
  return { scope, resources: [issuer, ...targets.map(({ uri }) => uri)], targets };
}

/** A scope cut to what an administrator lets the client have; where none did, only the user's consent bounds it. */
function withinCeiling(scope: string, client: Pick<Client, 'scope'>): string {
  return client.scope === '' ? scope : intersectScopes(scope, client.scope);
}

/**
 * What is left of a grant by now: administrators may have removed resources since, or lowered the client's ceiling. Where all
 * that was granted at an audience is gone, it is none any more.
 * @throws OAuthError `invalid_target` when no audience is left
 */
export async function stillGranted(
  granted: Entitlement,
  client: Pick<Client, 'scope'>,
  { issuer, resources }: { issuer: string; resources: Resources },
): Promise<FoundEntitlement> {
  const found = await resources.findAll(granted.resources.filter((uri) => uri !== issuer));
  const scope = withinCeiling(granted.scope, client);
  const isLeft = (uri: string) => {
    const there = found.filter((resource) => resource.uri === uri);
    const meant = (some: string) => scopeForAudience(some, [uri], there, issuer) !== '';
    return (uri === issuer || there.length > 0) && (meant(scope) || !meant(granted.scope));
  };
  const audience = granted.resources.filter(isLeft);
  if (audience.length === 0) {
    throw new OAuthError('invalid_target', 'Nothing is left of what was granted: ask the user again.', {
      detail: `granted "${granted.scope}" at ${granted.resources.join(' ')}`,
    });
  }
  return { scope, resources: audience, targets: found.filter(({ uri }) => audience.includes(uri)) };
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
  if (text.length > LONGEST_SCOPE)
    throw new OAuthError('invalid_scope', `The scope is longer than ${LONGEST_SCOPE} characters.`);
  const tokens = parseScope(text);
  if (!tokens)
    throw new OAuthError('invalid_scope', 'The scope is not a list of scope tokens (RFC 6749 section 3.3).');
  return formatScope(tokens);
}

/** Who names an audience but no scope gets what it offers; who names none gets the server's default. */
function defaultScope(
  { resources, defaultScope, ceiling }: Ask,
  named: readonly Resource[],
  issuer: string,
): string {
  const own = resources.includes(issuer) ? scopeForAudience(defaultScope, [issuer], [], issuer) : '';
  const theirs = named.flatMap(({ scopes }) => scopes.map(({ name }) => name));
  const offered = resources.length === 0 ? defaultScope : formatScope([...scopeTokens(own), ...theirs]);
  return ceiling === null ? offered : intersectScopes(offered, ceiling);
}

function readAudience(named: readonly string[]): readonly string[] {
  if (named.length > MOST_RESOURCES)
    throw new OAuthError('invalid_request', `The request names more than ${MOST_RESOURCES} resources.`);
  return [...new Set(named)];
}

/** The resources that are named; the issuer is none. */
async function findNamed(
  audience: readonly string[],
  issuer: string,
  resources: Resources,
): Promise<readonly Resource[]> {
  const uris = audience.filter((uri) => uri !== issuer);
  const found = await resources.findAll(uris);
  const unknown = uris.find((uri) => !found.some((resource) => resource.uri === uri));
  if (unknown === undefined) return found;
  throw new OAuthError('invalid_target', 'The resource is not one that this server issues tokens for.', {
    detail: `resource ${JSON.stringify(unknown.slice(0, 200))}`,
    hint: 'Register it with `authserver admin resource create`.',
  });
}

/** Every resource that has a scope of this name; the server's own scopes belong to none. */
async function ownersOf(scope: string, resources: Resources): Promise<readonly Resource[]> {
  const foreign = scopeTokens(scope).filter((token) => !Object.hasOwn(openidScopes, token));
  return foreign.length === 0
    ? []
    : (await resources.list()).filter((resource) => ownsAny(resource, foreign));
}

/** OpenID Connect Core 3.1.2.1: its scopes that mean nothing here are ignored, unless a resource gives them a meaning. */
function withoutIgnored(scope: string, targets: readonly Resource[]): string {
  const isIgnored = (token: string) =>
    ignoredScopes.includes(token) && !targets.some((resource) => ownsAny(resource, [token]));
  return formatScope(scopeTokens(scope).filter((token) => !isIgnored(token)));
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
