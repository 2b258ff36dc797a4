import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client, Clients } from '../../registry/clients.ts';

/** Who asks. Until this is known, errors are shown to the person and never sent anywhere (RFC 6749 section 4.1.2.1). */
export async function checkClient(params: Params, clients: Clients): Promise<Client> {
  const id = params.get('client_id');
  if (id === undefined)
    throw new OAuthError(
      'invalid_request',
      'The link that brought you here names no application (client_id is missing).',
    );
  const client = await clients.findActive(id);
  if (!client) {
    throw new OAuthError(
      'invalid_request',
      'The application that sent you here is not known to this server.',
      {
        detail: `client_id ${JSON.stringify(id.slice(0, 100))}`,
        hint: 'Ask whoever runs the application: it must be registered here, and not disabled.',
      },
    );
  }
  return client;
}
