import type { AuditTrail } from '../audit/trail.ts';
import { paths } from '../flow/paths.ts';
import type { PostLogout } from '../flow/post-logout.ts';
import { endedSession, sessionToken } from '../flow/session-cookie.ts';
import { type Incoming, type Outgoing, type Route, redirect } from '../http/exchange.ts';
import { OAuthError } from '../http/oauth-error.ts';
import type { Params } from '../http/params.ts';
import type { LiveSession, Sessions } from '../identity/sessions.ts';
import type { Client, Clients } from '../registry/clients.ts';
import { matchesRedirectUri } from '../registry/redirect-uris.ts';
import { refuseRepeats } from './check-repeats.ts';
import type { HintedUser, IdTokenReader } from './id-token-hint.ts';
import { withQuery } from './with-query.ts';

export interface EndSessionParts {
  readonly prefix: string;
  readonly clients: Clients;
  readonly sessions: Pick<Sessions, 'find' | 'end'>;
  readonly idTokens: IdTokenReader;
  readonly audit: Pick<AuditTrail, 'record'>;
}

/** RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0), by GET and by POST. */
export function endSessionRoutes(parts: EndSessionParts): readonly Route[] {
  const route = { path: paths.endSession, kind: 'page' as const };
  return [
    {
      ...route,
      method: 'GET',
      body: 'none',
      handle: (incoming) => endSession(incoming, incoming.query, parts),
    },
    {
      ...route,
      method: 'POST',
      body: 'form',
      handle: (incoming) => endSession(incoming, incoming.form, parts),
    },
  ];
}

async function endSession(incoming: Incoming, params: Params, parts: EndSessionParts): Promise<Outgoing> {
  refuseRepeats(params);
  const hinted = await readHint(params, parts.idTokens);
  const wish = await readWish(params, hinted, parts.clients);
  const target = wish === undefined ? undefined : await resolvePostLogout(wish, parts.clients);
  const session = await parts.sessions.find(sessionToken(incoming));
  // Section 2: the person is asked, unless the hint proves that the application means just this session.
  const means = session !== undefined && hinted?.session_id === session.id;
  // A form that another site posts comes without our session (SameSite=Lax); only the page that follows can see it.
  const asks = session === undefined ? incoming.method === 'POST' : !means;
  const signOut = `${parts.prefix}${paths.signOut}`;
  if (asks) return redirect(wish ? `${signOut}?post_logout=${wish}` : signOut);
  if (session) await end(session, incoming, parts);
  return redirect(target?.uri ?? signOut, [endedSession]);
}

async function end(
  session: LiveSession,
  { source }: Incoming,
  { sessions, audit }: EndSessionParts,
): Promise<void> {
  if (!(await sessions.end(session.id, session.user_id))) return;
  await audit.record({
    action: 'session.ended',
    actor: `user:${session.user_id}`,
    user_id: session.user_id,
    ip: source,
    detail: { session_id: session.id, by: 'application' },
  });
}

async function readHint(params: Params, idTokens: IdTokenReader): Promise<HintedUser | undefined> {
  const hint = params.get('id_token_hint');
  if (hint === undefined) return undefined;
  const hinted = await idTokens.read(hint);
  const asker = params.get('client_id');
  if (hinted && (asker === undefined || asker === hinted.client_id)) return hinted;
  throw new OAuthError(
    'invalid_request',
    'The id_token_hint is not an ID token that this server gave to this application.',
  );
}

/** Who wants the person back where, checked; as a handle that the sign-out page carries. Undefined when nobody does. */
async function readWish(
  params: Params,
  hinted: HintedUser | undefined,
  clients: Clients,
): Promise<string | undefined> {
  const uri = params.get('post_logout_redirect_uri');
  if (uri === undefined) return undefined;
  const clientId = hinted?.client_id ?? params.get('client_id');
  const client = clientId === undefined ? undefined : await clients.findActive(clientId);
  if (!client || !isRegistered(client, uri)) {
    throw new OAuthError(
      'invalid_request',
      'The application asked to send you on to an address that is not registered for it.',
      {
        detail: `client ${clientId ?? 'unknown'}, post_logout_redirect_uri ${JSON.stringify(uri.slice(0, 300))}`,
        hint: 'You are still signed in. Sign out on your account page, or tell whoever runs the application.',
      },
    );
  }
  return writeHandle({ client_id: client.id, uri, state: params.get('state') });
}

interface Wish {
  readonly client_id: string;
  readonly uri: string;
  readonly state?: string | undefined;
}

/** The handle needs no signature: whoever reads it checks it against the registry again. */
function writeHandle(wish: Wish): string {
  return Buffer.from(JSON.stringify(wish)).toString('base64url');
}

/** Where a handle of the sign-out page leads; undefined for anything that is not registered. */
export async function resolvePostLogout(handle: string, clients: Clients): Promise<PostLogout | undefined> {
  const wish = readHandle(handle);
  const client = wish && (await clients.findActive(wish.client_id));
  if (!wish || !client || !isRegistered(client, wish.uri)) return undefined;
  const uri = wish.state === undefined ? wish.uri : withQuery(wish.uri, { state: wish.state });
  return { uri, clientName: client.name || client.id };
}

function readHandle(handle: string): Wish | undefined {
  try {
    const wish: Partial<Record<keyof Wish, unknown>> = JSON.parse(
      Buffer.from(handle, 'base64url').toString('utf8'),
    );
    if (typeof wish?.client_id !== 'string' || typeof wish.uri !== 'string') return undefined;
    return {
      client_id: wish.client_id,
      uri: wish.uri,
      state: typeof wish.state === 'string' ? wish.state : undefined,
    };
  } catch {
    return undefined;
  }
}

function isRegistered(client: Client, uri: string): boolean {
  return client.post_logout_redirect_uris.some((registered) => matchesRedirectUri(registered, uri));
}
