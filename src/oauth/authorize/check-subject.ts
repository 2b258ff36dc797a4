import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Client } from '../../registry/clients.ts';
import type { IdTokenReader } from '../id-token-hint.ts';

/**
 * The only user who may answer: `sub` of `id_token_hint` (OpenID Connect Core 3.1.2.1) or the one that the `claims` parameter
 * asks for by value (section 3.1.2.2); null where anybody may.
 */
export async function checkSubject(
  params: Params,
  client: Client,
  claimed: string | null,
  reader: IdTokenReader,
): Promise<string | null> {
  const hint = params.get('id_token_hint');
  if (hint === undefined) return claimed;
  const token = await reader.read(hint);
  if (token?.client_id !== client.id) {
    throw new OAuthError(
      'invalid_request',
      'The id_token_hint is not an ID token that this server gave to this client.',
    );
  }
  if (claimed === null || claimed === token.sub) return token.sub;
  throw new OAuthError('invalid_request', 'The id_token_hint and the claims parameter name different users.');
}
