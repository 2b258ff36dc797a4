import type { Params } from '../../http/params.ts';
import type { Client, GrantType } from '../../registry/clients.ts';
import type { TokenFamilyRecord } from '../../store/records.ts';
import type { AccessToken, Authentication } from '../../tokens/issuer.ts';

/** A token request whose client is proven. */
export interface TokenRequest {
  readonly client: Client;
  readonly form: Params;
  /** Where it came from, for the audit trail. */
  readonly source: string;
}

/** What a grant has proven. Nothing is spent yet, so that a request that fails later can be repeated. */
export interface Proven {
  readonly user: ProvenUser | null;
  /** What the grant allows at most. */
  readonly scope: string;
  /** Resource indicators that it is for; tokens may be narrowed to some of them (RFC 8707 section 2.2). */
  readonly resources: readonly string[];
  readonly family_id: string | null;
  /** Spends what was presented and records what it bought, in one unit of work. Answers the refresh token, if any. */
  spend(access: AccessToken): Promise<Spent>;
}

export interface ProvenUser {
  readonly id: string;
  readonly session_id: string;
  readonly authentication: Authentication;
  readonly nonce: string | null;
  readonly claims_json: string | null;
}

/** The user behind a code or a family, which keep the same of the sign-in. */
export function provenUser(
  row: Pick<TokenFamilyRecord, 'user_id' | 'session_id' | 'auth_time' | 'acr' | 'amr_json' | 'claims_json'>,
  nonce: string | null,
): ProvenUser {
  return {
    id: row.user_id,
    session_id: row.session_id,
    authentication: { auth_time: row.auth_time, acr: row.acr, amr: JSON.parse(row.amr_json) },
    nonce,
    claims_json: row.claims_json,
  };
}

export interface Spent {
  readonly refreshToken: string | null;
}

/** One way to get tokens. It fills these hooks only; the endpoint's phases own every check that all grants share. */
export interface Grant {
  readonly type: GrantType;
  /** Checks what was presented, and spends nothing of it. @throws OAuthError `invalid_grant` or `invalid_request` */
  prove(request: TokenRequest): Promise<Proven>;
}
