import { OAuthError } from '../http/oauth-error.ts';
import { claimsByScope, claimsFor } from '../identity/claims.ts';
import type { Users } from '../identity/users.ts';
import { scopeTokens } from '../registry/scopes.ts';

/** The `claims` request parameter (OpenID Connect Core 5.5): names only; values asked for are not promised. */
export interface RequestedClaims {
  readonly userinfo: readonly string[];
  readonly id_token: readonly string[];
}

const LARGEST = 8 * 1024;

/** The parameter as it is stored, or null when it was not sent. @throws OAuthError `invalid_request` */
export function checkClaimsParameter(text: string | undefined): string | null {
  if (text === undefined) return null;
  const parsed = text.length > LARGEST ? undefined : parseObject(text);
  if (!parsed) throw malformed();
  const requested: RequestedClaims = {
    userinfo: memberNames(parsed.userinfo),
    id_token: memberNames(parsed.id_token),
  };
  return JSON.stringify(requested);
}

/**
 * The scopes that cover the claims asked for by name. They are asked for along with them: what a person is shown, and may
 * untick, is scopes.
 */
export function scopesOfClaims(claimsJson: string | null): readonly string[] {
  if (claimsJson === null) return [];
  const { userinfo, id_token } = JSON.parse(claimsJson) as RequestedClaims;
  const names = [...userinfo, ...id_token];
  return Object.keys(claimsByScope).filter((scope) => names.some((name) => isCovered(name, [scope])));
}

/** What is known of a user among the claims that were asked for by name in the ID token, as far as the scope goes. */
export async function idTokenClaims(
  claimsJson: string | null,
  scope: string,
  userId: string,
  users: Pick<Users, 'find'>,
): Promise<Readonly<Record<string, unknown>>> {
  if (claimsJson === null) return {};
  const { id_token } = JSON.parse(claimsJson) as RequestedClaims;
  const names = id_token.filter((name) => isCovered(name, scopeTokens(scope)));
  const user = names.length > 0 ? await users.find(userId) : undefined;
  return user ? claimsFor(user, [], names) : {};
}

function isCovered(claim: string, scopes: readonly string[]): boolean {
  return scopes.some((scope) => Object.hasOwn(claimsByScope, scope) && claimsByScope[scope]?.includes(claim));
}

function memberNames(member: unknown): readonly string[] {
  if (member === undefined || member === null) return [];
  if (typeof member !== 'object' || Array.isArray(member)) throw malformed();
  return Object.keys(member);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function malformed(): OAuthError {
  return new OAuthError(
    'invalid_request',
    'The claims parameter is not the JSON object that OpenID Connect Core 5.5 describes.',
  );
}
