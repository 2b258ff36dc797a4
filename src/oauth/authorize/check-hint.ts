import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client } from '../../registry/clients.ts';
import type { IdTokenReader } from '../id-token-hint.ts';

/** Whom the client expects to be signed in: `sub` of `id_token_hint` (OpenID Connect Core 3.1.2.1). */
export async function checkIdTokenHint(
  params: Params,
  client: Client,
  reader: IdTokenReader,
): Promise<string | null> {
  const hint = params.get('id_token_hint');
  if (hint === undefined) return null;
  const token = await reader.read(hint);
  if (token?.client_id === client.id) return token.sub;
  throw new OAuthError(
    'invalid_request',
    'The id_token_hint is not an ID token that this server gave to this client.',
  );
}
