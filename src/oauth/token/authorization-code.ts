import type { AuditTrail } from '../../audit/trail.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import { equalSecrets, sha256 } from '../../kernel/bytes.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Meter } from '../../kernel/metrics.ts';
import type { Random } from '../../kernel/random.ts';
import type { AuthCodeRecord, TokenFamilyRecord } from '../../store/records.ts';
import type { CodeStore } from '../../store/store.ts';
import type { AccessToken } from '../../tokens/issuer.ts';
import { newRefreshToken, refreshTokenRecord } from '../../tokens/refresh-token.ts';
import type { OAuthSettings } from '../settings.ts';
import { type Grant, type Proven, provenUser, type Spent, type TokenRequest } from './grant.ts';

export interface AuthorizationCodeParts {
  readonly settings: OAuthSettings;
  readonly codes: CodeStore;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly meter?: Meter;
}

/** RFC 7636 section 4.1 */
const CODE_VERIFIER = /^[A-Za-z0-9\-._~]{43,128}$/;

/** The authorization code grant (RFC 6749 section 4.1.3, with PKCE: RFC 7636 section 4.6). */
export function authorizationCodeGrant(parts: AuthorizationCodeParts): Grant {
  return {
    type: 'authorization_code',
    async prove(request) {
      const presented = request.form.get('code');
      if (presented === undefined) throw new OAuthError('invalid_request', 'The parameter code is missing.');
      const code = await parts.codes.find({ code_hash: sha256(presented) });
      if (!code || code.client_id !== request.client.id) throw invalidGrant('no such code for this client');
      checkRedirectUri(code, request);
      checkCodeVerifier(code, request);
      if (code.redeemed_at === null && code.expires_at <= parts.clock.now())
        throw invalidGrant('the code has expired');
      return proven(code, request, parts);
    },
  };
}

/** RFC 6749 section 4.1.3. OAuth 2.1 drops the parameter where PKCE binds the code; there it may be left out. */
function checkRedirectUri(code: AuthCodeRecord, { form }: TokenRequest): void {
  const presented = form.get('redirect_uri');
  if (presented === code.redirect_uri) return;
  if (presented === undefined && code.code_challenge !== null) return;
  throw invalidGrant('redirect_uri differs from the one of the authorization request');
}

function checkCodeVerifier(code: AuthCodeRecord, { form }: TokenRequest): void {
  const verifier = form.get('code_verifier');
  if (code.code_challenge === null) {
    // RFC 9700 section 4.8.2: a verifier without a challenge is a downgrade attack.
    if (verifier !== undefined) throw invalidGrant('code_verifier for a request without code_challenge');
    return;
  }
  if (verifier === undefined)
    throw new OAuthError('invalid_request', 'The parameter code_verifier is missing.');
  if (!CODE_VERIFIER.test(verifier)) {
    throw new OAuthError(
      'invalid_request',
      'The code_verifier is not 43 to 128 unreserved characters (RFC 7636 section 4.1).',
    );
  }
  if (!equalSecrets(sha256(verifier), code.code_challenge))
    throw invalidGrant('code_verifier does not match the challenge');
}

function proven(code: AuthCodeRecord, request: TokenRequest, parts: AuthorizationCodeParts): Proven {
  return {
    user: provenUser(code, code.nonce),
    scope: code.scope,
    resources: JSON.parse(code.resources_json),
    family_id: code.family_id,
    spend: (access) => spend(code, access, request, parts),
  };
}

async function spend(
  code: AuthCodeRecord,
  access: AccessToken,
  { client, source }: TokenRequest,
  { settings, codes, audit, clock, random, meter }: AuthorizationCodeParts,
): Promise<Spent> {
  const now = clock.now();
  const wantsRefresh = client.grant_types.includes('refresh_token');
  const absolute = client.refresh_token_absolute_lifetime ?? settings.refresh_token_absolute_lifetime;
  const sliding = Math.min(client.refresh_token_lifetime ?? settings.refresh_token_lifetime, absolute);
  const refreshToken = wantsRefresh ? newRefreshToken(random) : null;
  const family: TokenFamilyRecord = {
    id: code.family_id,
    client_id: code.client_id,
    user_id: code.user_id,
    session_id: code.session_id,
    scope: code.scope,
    resources_json: code.resources_json,
    claims_json: code.claims_json,
    auth_time: code.auth_time,
    acr: code.acr,
    amr_json: code.amr_json,
    created_at: now,
    expires_at: wantsRefresh ? now + absolute : access.issuance.expires_at,
    revoked_at: null,
    revoked_reason: null,
  };
  const refresh =
    refreshToken === null ? null : refreshTokenRecord(refreshToken, code.family_id, now, sliding);
  const { outcome } = await codes.redeem({
    code_hash: code.code_hash,
    now,
    family,
    tokens: { issuance: access.issuance, refresh },
  });
  if (outcome === 'redeemed') return { refreshToken };
  if (outcome === 'replayed') {
    meter?.counter('authserver_authorization_code_replays_total').add();
    await audit.record({
      action: 'code.replayed',
      actor: `client:${client.id}`,
      client_id: client.id,
      user_id: code.user_id,
      ip: source,
      detail: { family_id: code.family_id },
    });
  }
  throw invalidGrant(`the code is ${outcome}`);
}

/** RFC 6749 section 5.2. One sentence for every reason: who holds a wrong code learns nothing about right ones. */
function invalidGrant(detail: string): OAuthError {
  return new OAuthError('invalid_grant', 'The authorization code is not valid for this request.', { detail });
}
