import { paths } from '../../flow/paths.ts';
import type { AuthorizationRequest } from '../../flow/requests.ts';
import { sessionToken } from '../../flow/session-cookie.ts';
import type { Incoming, Outgoing, Route } from '../../http/exchange.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';
import type { Sessions } from '../../identity/sessions.ts';
import type { Client, Clients } from '../../registry/clients.ts';
import type { Resources } from '../../registry/resources.ts';
import { refuseRepeats, refuseTwoAddresses } from '../check-repeats.ts';
import { checkClaimsParameter } from '../claims-parameter.ts';
import type { IdTokenReader } from '../id-token-hint.ts';
import type { OAuthSettings } from '../settings.ts';
import { type ReturnAddress, refuseClient } from './answer.ts';
import { checkCarried } from './check-carried.ts';
import { checkClient } from './check-client.ts';
import { checkMaxAge } from './check-max-age.ts';
import { checkNonceComesBack, checkPkce } from './check-pkce.ts';
import { checkPrompt } from './check-prompt.ts';
import { checkRedirectUri } from './check-redirect-uri.ts';
import { checkResponseMode, checkResponseType, refuseRequestObjects } from './check-response.ts';
import { checkScope } from './check-scope.ts';
import { checkSubject } from './check-subject.ts';
import type { Dispatcher } from './dispatch.ts';

export interface AuthorizeParts {
  readonly issuer: string;
  readonly settings: OAuthSettings;
  readonly clients: Clients;
  readonly resources: Resources;
  readonly sessions: Pick<Sessions, 'find'>;
  readonly idTokens: IdTokenReader;
  readonly dispatcher: Dispatcher;
}

/** The authorization endpoint (RFC 6749 section 3.1, OpenID Connect Core 3.1.2): by GET or POST. */
export function authorizeRoutes(parts: AuthorizeParts): readonly Route[] {
  const route = { path: paths.authorize, kind: 'page' as const };
  return [
    {
      ...route,
      method: 'GET',
      body: 'none',
      handle: (incoming) => authorize(incoming, incoming.query, parts),
    },
    {
      ...route,
      method: 'POST',
      body: 'form',
      handle: (incoming) => authorize(incoming, incoming.form, parts),
    },
    {
      ...route,
      path: paths.resume,
      method: 'GET',
      body: 'none',
      handle: (incoming) => parts.dispatcher.resume(incoming),
    },
  ];
}

async function authorize(incoming: Incoming, params: Params, parts: AuthorizeParts): Promise<Outgoing> {
  // Errors up to here are shown to the person: there is nobody yet whom they could safely be sent to.
  refuseTwoAddresses(params);
  const client = await checkClient(params, parts.clients);
  const redirect_uri = checkRedirectUri(params, client);
  const address: ReturnAddress = {
    redirect_uri,
    response_mode: tolerantMode(params),
    state: params.get('state') ?? null,
  };
  try {
    const request = await checkRequest(params, client, redirect_uri, parts);
    return await parts.dispatcher.begin(incoming, request, client);
  } catch (error) {
    if (!(error instanceof OAuthError) || !(await maySendBack(incoming, params, client, parts))) throw error;
    return refuseClient(address, parts.issuer, error);
  }
}

/**
 * Anybody can register an address of their own and make a link to us that is faulty on purpose, so as to lead to it under our
 * name. An error goes there by itself only once somebody signed in, or nobody was to see a page (RFC 9700 section 4.11.2).
 */
async function maySendBack(
  incoming: Incoming,
  params: Params,
  client: Client,
  { sessions }: AuthorizeParts,
): Promise<boolean> {
  if (client.source !== 'dynamic' || params.get('prompt') === 'none') return true;
  return (await sessions.find(sessionToken(incoming))) !== undefined;
}

/** The rules of a request, one a line, in the order in which their errors are told. */
async function checkRequest(
  params: Params,
  client: Client,
  redirect_uri: string,
  parts: AuthorizeParts,
): Promise<AuthorizationRequest> {
  refuseRepeats(params);
  refuseRequestObjects(params);
  checkResponseType(params, client);
  const response_mode = checkResponseMode(params);
  const state = checkCarried(params, 'state', 2048);
  const nonce = checkCarried(params, 'nonce', 512);
  const login_hint = checkCarried(params, 'login_hint', 320);
  const code_challenge = checkPkce(params, client);
  const prompt = checkPrompt(params);
  const max_age = checkMaxAge(params);
  const claims = checkClaimsParameter(params.get('claims'));
  const subject = await checkSubject(params, client, claims.subject, parts.idTokens);
  const { scope, resources } = await checkScope(params, client, claims.json, {
    ...parts,
    defaultScope: parts.settings.default_scope,
  });
  checkNonceComesBack(code_challenge, scope);
  return {
    client_id: client.id,
    redirect_uri,
    response_mode,
    scope,
    resources,
    state,
    nonce,
    code_challenge,
    prompt,
    max_age,
    login_hint,
    subject,
    claims_json: claims.json,
  };
}

/** An error about the response mode itself still needs a way back. */
function tolerantMode(params: Params): ReturnAddress['response_mode'] {
  return params.get('response_mode') === 'form_post' ? 'form_post' : 'query';
}
