import type { Resource } from './resources.ts';
import { openidScopes, scopeTokens } from './scopes.ts';

/** Where a scope's own meaning lives when no resource of the request claims it: with this server. */
export const SERVER = '';

/**
 * Which resource each token of a scope belongs to: resource indicator to tokens, `SERVER` for the rest. A token that two
 * resources name belongs to both; OpenID Connect's own tokens always belong to the server.
 */
export function scopesByResource(
  scope: string,
  resources: readonly Resource[],
): ReadonlyMap<string, readonly string[]> {
  const allotted = new Map<string, string[]>();
  for (const token of scopeTokens(scope)) {
    for (const uri of ownersOf(token, resources)) {
      const tokens = allotted.get(uri);
      if (tokens) tokens.push(token);
      else allotted.set(uri, [token]);
    }
  }
  return allotted;
}

/** What a person reads about a token: its description, or its name where nobody has described it. */
export function describeScope(token: string, resource?: Resource): string {
  const described = resource?.scopes.find((scope) => scope.name === token)?.description;
  return described || (Object.hasOwn(openidScopes, token) && openidScopes[token]) || token;
}

function ownersOf(token: string, resources: readonly Resource[]): readonly string[] {
  if (Object.hasOwn(openidScopes, token)) return [SERVER];
  const owners = resources.filter((resource) => resource.scopes.some((scope) => scope.name === token));
  return owners.length === 0 ? [SERVER] : owners.map((resource) => resource.uri);
}
