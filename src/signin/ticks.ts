import type { AuthorizationRequest } from '../flow/requests.ts';
import { formatScope, scopeTokens } from '../registry/scopes.ts';

/** What is ticked on the consent page: tokens by resource. One that two resources share is ticked at each by itself. */
export type Ticks = ReadonlyMap<string, readonly string[]>;

/** What a ticked box sends: which resource of the request (0 for the server itself), and the token. */
export function tickValue({ resources }: AuthorizationRequest, uri: string, token: string): string {
  return `${resources.indexOf(uri) + 1}:${token}`;
}

/** Only what was asked for can be ticked, and `openid` is what signing in means: it cannot be unticked. */
export function readTicks(request: AuthorizationRequest, asked: Ticks, values: readonly string[]): Ticks {
  const sent = new Set(values);
  const isOn = (uri: string, token: string) => token === 'openid' || sent.has(tickValue(request, uri, token));
  return new Map([...asked].map(([uri, tokens]) => [uri, tokens.filter((token) => isOn(uri, token))]));
}

/**
 * What a token may be for after ticking. A token has one scope for all its audiences, so a resource is one only if all of
 * that scope that it understands was ticked there; where everything was unticked, it is none.
 */
export function grantOf(
  request: AuthorizationRequest,
  asked: Ticks,
  ticked: Ticks,
): { readonly scope: string; readonly resources: readonly string[] } {
  const granted = new Set([...ticked.values()].flat());
  const isAudience = (uri: string) => {
    const here = ticked.get(uri) ?? [];
    const understood = asked.get(uri)?.filter((token) => granted.has(token));
    return understood === undefined || (here.length > 0 && understood.length === here.length);
  };
  return {
    scope: formatScope(scopeTokens(request.scope).filter((token) => granted.has(token))),
    resources: request.resources.filter(isAudience),
  };
}
