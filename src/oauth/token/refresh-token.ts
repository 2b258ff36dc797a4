import type { AuditTrail } from '../../audit/trail.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import { sha256 } from '../../kernel/bytes.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Meter } from '../../kernel/metrics.ts';
import { type Random, randomToken } from '../../kernel/random.ts';
import type { RefreshTokenRecord, TokenFamilyRecord } from '../../store/records.ts';
import type { RefreshStore } from '../../store/store.ts';
import type { AccessToken } from '../../tokens/issuer.ts';
import { isRefreshToken, refreshTokenRecord, successorOf } from '../../tokens/refresh-token.ts';
import type { OAuthSettings } from '../settings.ts';
import { type Grant, provenUser, type Spent, type TokenRequest } from './grant.ts';

export interface RefreshTokenParts {
  readonly settings: OAuthSettings;
  readonly refresh: RefreshStore;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly meter?: Meter;
}

/** The refresh token grant (RFC 6749 section 6) with rotation and reuse detection (RFC 9700 section 4.14.2). */
export function refreshTokenGrant(parts: RefreshTokenParts): Grant {
  return {
    type: 'refresh_token',
    async prove(request) {
      const presented = request.form.get('refresh_token');
      if (presented === undefined)
        throw new OAuthError('invalid_request', 'The parameter refresh_token is missing.');
      if (!isRefreshToken(presented)) throw invalidGrant('not a refresh token of ours');
      const found = await parts.refresh.find({ token_hash: sha256(presented) });
      if (!found) throw invalidGrant('no such refresh token');
      const { token, family } = found;
      if (family.client_id !== request.client.id)
        throw invalidGrant('the refresh token belongs to another client');
      if (family.revoked_at !== null) throw invalidGrant(`its family was revoked: ${family.revoked_reason}`);
      refuseExpired(token, family, parts.clock.now());
      return {
        // An ID token that is refreshed has no nonce (OpenID Connect Core 12.2).
        user: provenUser(family, null),
        scope: family.scope,
        resources: JSON.parse(family.resources_json),
        family_id: family.id,
        spend: (access) => spend(presented, family, access, request, parts),
      };
    },
  };
}

/** A token that is only too old. One that was spent goes on to `rotate`, which tells a retry from reuse. */
function refuseExpired(token: RefreshTokenRecord, family: TokenFamilyRecord, now: number): void {
  if (token.spent_at !== null) return;
  if (token.expires_at <= now || family.expires_at <= now)
    throw invalidGrant('the refresh token has expired');
}

async function spend(
  presented: string,
  family: TokenFamilyRecord,
  access: AccessToken,
  { client, source }: TokenRequest,
  { settings, refresh, audit, clock, random, meter }: RefreshTokenParts,
): Promise<Spent> {
  const now = clock.now();
  const salt = randomToken(random);
  const successor = successorOf(presented, salt);
  const lifetime = client.refresh_token_lifetime ?? settings.refresh_token_lifetime;
  const answer = await refresh.rotate({
    token_hash: sha256(presented),
    now,
    retry_window: settings.refresh_retry_window,
    successor_salt: salt,
    successor: refreshTokenRecord(successor, family.id, now, lifetime),
    issuance: access.issuance,
  });
  if (answer.outcome === 'rotated') return { refreshToken: successor };
  if (answer.outcome === 'retried') return { refreshToken: successorOf(presented, answer.successor_salt) };
  if (answer.outcome === 'reused') {
    meter?.counter('authserver_refresh_token_reuse_total').add();
    await audit.record({
      action: 'refresh.reused',
      actor: `client:${client.id}`,
      client_id: client.id,
      user_id: family.user_id,
      ip: source,
      detail: { family_id: family.id },
    });
  }
  throw invalidGrant(`the refresh token is ${answer.outcome}`);
}

function invalidGrant(detail: string): OAuthError {
  return new OAuthError('invalid_grant', 'The refresh token is not valid.', { detail });
}
