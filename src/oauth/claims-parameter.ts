import { OAuthError } from '../http/oauth-error.ts';
import { claimsByScope, claimsFor } from '../identity/claims.ts';
import type { Users } from '../identity/users.ts';
import { scopeTokens } from '../registry/scopes.ts';

/**
 * The `claims` request parameter (OpenID Connect Core 5.5) as it is stored. Values asked for are not promised, but for the
 * two by which a request stands or falls: `sub` (section 3.1.2.2) and an essential `acr` (section 5.5.1.1).
 */
interface RequestedClaims {
  readonly userinfo: readonly string[];
  readonly id_token: readonly string[];
  /** One of these, if any. */
  readonly acr: readonly string[];
}

const LONGEST = 2048;

/**
 * The parameter as it is stored, and the only user who may answer; nulls where it says nothing.
 * @throws OAuthError `invalid_request`
 */
export function checkClaimsParameter(text: string | undefined): {
  readonly json: string | null;
  readonly subject: string | null;
} {
  if (text === undefined) return { json: null, subject: null };
  const parsed = text.length > LONGEST ? undefined : parseObject(text);
  if (!parsed) throw malformed();
  const userinfo = members(parsed['userinfo']);
  const idToken = members(parsed['id_token']);
  const requested: RequestedClaims = {
    userinfo: Object.keys(userinfo),
    id_token: Object.keys(idToken),
    acr: isEssential(idToken['acr']) ? valuesOf(idToken['acr']) : [],
  };
  return { json: JSON.stringify(requested), subject: valuesOf(idToken['sub'])[0] ?? null };
}

/** Does a sign-in of this level answer the request? */
export function isAcceptedAcr(claimsJson: string | null, acr: string): boolean {
  if (claimsJson === null) return true;
  const accepted = (JSON.parse(claimsJson) as RequestedClaims).acr;
  return accepted.length === 0 || accepted.includes(acr);
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

function members(place: unknown): Readonly<Record<string, unknown>> {
  if (place === undefined || place === null) return {};
  if (typeof place !== 'object' || Array.isArray(place)) throw malformed();
  return place as Record<string, unknown>;
}

function isEssential(claim: unknown): boolean {
  return typeof claim === 'object' && claim !== null && 'essential' in claim && claim.essential === true;
}

/** `value` and `values` of a claim, where they are text. */
function valuesOf(claim: unknown): readonly string[] {
  if (typeof claim !== 'object' || claim === null) return [];
  const { value, values } = claim as { value?: unknown; values?: unknown };
  return [value, ...(Array.isArray(values) ? values : [])].filter((one) => typeof one === 'string');
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
