import type { AuthorizationRequest } from '../../flow/requests.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client } from '../../registry/clients.ts';

/** How the answer travels. Fragments are not offered: they leak into histories (RFC 9700 section 4.3). */
export function checkResponseMode(params: Params): AuthorizationRequest['response_mode'] {
  const mode = params.get('response_mode') ?? 'query';
  if (mode === 'query' || mode === 'form_post') return mode;
  throw new OAuthError('invalid_request', 'The response_mode is not query or form_post.');
}

/** Only codes are given out here; the implicit grant is gone with OAuth 2.1. */
export function checkResponseType(params: Params, client: Client): void {
  const type = params.get('response_type');
  if (type === undefined) throw new OAuthError('invalid_request', 'The parameter response_type is missing.');
  if (type !== 'code') throw new OAuthError('unsupported_response_type', 'The only response_type is code.');
  if (!client.grant_types.includes('authorization_code')) {
    throw new OAuthError(
      'unauthorized_client',
      'The client is not registered for the grant type authorization_code.',
    );
  }
}

/** What OpenID Connect Core 3.1.2.6 has own errors for when it is not supported. */
export function refuseRequestObjects(params: Params): void {
  if (params.has('request'))
    throw new OAuthError('request_not_supported', 'Request objects are not supported.');
  if (params.has('request_uri'))
    throw new OAuthError('request_uri_not_supported', 'Request URIs are not supported.');
  if (params.has('registration')) {
    throw new OAuthError('registration_not_supported', 'The registration parameter is not supported.');
  }
}
