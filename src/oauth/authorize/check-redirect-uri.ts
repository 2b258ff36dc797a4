import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client } from '../../registry/clients.ts';
import { matchesRedirectUri } from '../../registry/redirect-uris.ts';

/** Where the answer goes: always named (OpenID Connect Core 3.1.2.1) and always one that was registered. */
export function checkRedirectUri(params: Params, client: Client): string {
  const asked = params.get('redirect_uri');
  if (asked !== undefined && client.redirect_uris.some((registered) => matchesRedirectUri(registered, asked)))
    return asked;
  throw new OAuthError(
    'invalid_request',
    'The application asked to send you back to an address that is not registered for it.',
    {
      detail: `client ${client.id}, redirect_uri ${asked === undefined ? 'missing' : JSON.stringify(asked.slice(0, 300))}`,
      hint: 'Ask whoever runs the application to register this exact redirect_uri here.',
    },
  );
}
