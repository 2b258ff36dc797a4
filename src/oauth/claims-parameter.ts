import { OAuthError } from '../http/oauth-error.ts';
import { claimsFor } from '../identity/claims.ts';
import type { Users } from '../identity/users.ts';

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

/** What is known of a user among the claims that were asked for by name, for one of the two places. */
export async function namedClaims(
  claimsJson: string | null,
  place: keyof RequestedClaims,
  userId: string,
  users: Pick<Users, 'find'>,
): Promise<Readonly<Record<string, unknown>>> {
  if (claimsJson === null) return {};
  const names = (JSON.parse(claimsJson) as RequestedClaims)[place];
  const user = names.length > 0 ? await users.find(userId) : undefined;
  return user ? claimsFor(user, [], names) : {};
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
