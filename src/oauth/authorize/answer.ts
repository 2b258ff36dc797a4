import type { AuthorizationRequest } from '../../flow/requests.ts';
import { describeOAuthError } from '../../http/errors.ts';
import { html, type Outgoing, redirect } from '../../http/exchange.ts';
import type { OAuthError } from '../../http/oauth-error.ts';
import { withQuery } from '../with-query.ts';
import { formPostPage } from './form-post.ts';

/** Where an answer goes and how; known as soon as the client and its redirect URI are. */
export type ReturnAddress = Pick<AuthorizationRequest, 'redirect_uri' | 'response_mode' | 'state'>;

/** Sends an answer back to the client, with `state` and `iss` (RFC 9207) on success and on error alike. */
export function answerClient(
  address: ReturnAddress,
  issuer: string,
  answer: Readonly<Record<string, string>>,
): Outgoing {
  const parameters = { ...answer, ...(address.state !== null && { state: address.state }), iss: issuer };
  if (address.response_mode === 'form_post') {
    const page = formPostPage(address.redirect_uri, parameters);
    const sent = html(200, page.html);
    return { ...sent, headers: { ...sent.headers, 'content-security-policy': page.csp } };
  }
  return redirect(withQuery(address.redirect_uri, parameters));
}

/** Sends an error back to the client (RFC 6749 section 4.1.2.1). */
export function refuseClient(address: ReturnAddress, issuer: string, failure: OAuthError): Outgoing {
  const description = describeOAuthError(failure);
  return { ...answerClient(address, issuer, description), error: description.error };
}
