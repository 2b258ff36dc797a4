import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client } from '../../registry/clients.ts';
import { scopeTokens } from '../../registry/scopes.ts';

/** RFC 7636 section 4.2: base64url of a SHA-256. */
const S256_CHALLENGE = /^[A-Za-z0-9_-]{43}$/;

/**
 * PKCE with S256, always (OAuth 2.1 section 7.5.2). An administrator may switch it off for a confidential client; then `nonce`
 * must stand in for it (RFC 9700 section 2.1.1). Answers the challenge, or null where there is none.
 */
export function checkPkce(params: Params, client: Client): string | null {
  const challenge = params.get('code_challenge');
  const method = params.get('code_challenge_method');
  if (challenge === undefined) return checkNonceInstead(params, client);
  if (method !== 'S256') throw new OAuthError('invalid_request', 'The code_challenge_method must be S256.');
  if (!S256_CHALLENGE.test(challenge)) {
    throw new OAuthError(
      'invalid_request',
      'The code_challenge is not the base64url of a SHA-256 (RFC 7636 section 4.2).',
    );
  }
  return challenge;
}

/** The nonce protects nothing unless it comes back in an ID token, and only the scope openid gives one. */
export function checkNonceComesBack(challenge: string | null, scope: string): void {
  if (challenge !== null || scopeTokens(scope).includes('openid')) return;
  throw new OAuthError(
    'invalid_request',
    'Without PKCE the scope openid is required: the nonce comes back in the ID token (RFC 9700 section 2.1.1).',
  );
}

function checkNonceInstead(params: Params, client: Client): null {
  if (client.require_pkce)
    throw new OAuthError('invalid_request', 'The parameter code_challenge is missing: PKCE is required.');
  if (!params.has('nonce')) {
    throw new OAuthError(
      'invalid_request',
      'Without PKCE the parameter nonce is required (RFC 9700 section 2.1.1).',
    );
  }
  return null;
}
