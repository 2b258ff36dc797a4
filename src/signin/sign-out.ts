import { paths } from '../flow/paths.ts';
import type { PostLogout } from '../flow/post-logout.ts';
import { endedSession } from '../flow/session-cookie.ts';
import { checkCsrf } from '../http/csrf.ts';
import { type Incoming, type Outgoing, type Route, redirect } from '../http/exchange.ts';
import type { SignInDependencies } from './dependencies.ts';
import { formTokens, page, sessionOf } from './visit.ts';

const PURPOSE = 'signout';

/** Asks first, because a link on another site must not sign anybody out; `post_logout` is a handle, never an address. */
export function signOutRoutes(dependencies: SignInDependencies): readonly Route[] {
  return [
    {
      method: 'GET',
      path: paths.signOut,
      kind: 'page',
      body: 'none',
      handle: (request) => show(dependencies, request),
    },
    {
      method: 'POST',
      path: paths.signOut,
      kind: 'page',
      body: 'form',
      handle: (request) => submit(dependencies, request),
    },
  ];
}

async function show(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const { pages, random } = dependencies;
  const handle = request.query.get('post_logout');
  const next = await postLogout(dependencies, handle);
  const session = await sessionOf(dependencies, request);
  if (!session && next) return redirect(next.uri);
  if (!session) return page(200, pages.render('signed-out', { title: 'Signed out' }));

  const { token, cookies } = formTokens(request, random);
  const frame = { title: 'Sign out', username: session.username };
  const content = {
    csrf: token(PURPOSE),
    handle: next && handle,
    clientName: next?.clientName,
    username: session.username,
  };
  return page(200, pages.render('sign-out', frame, content), { cookies, ...(next && { leadsTo: next.uri }) });
}

async function submit(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  checkCsrf(request, PURPOSE);
  const { sessions, audit, prefix } = dependencies;
  const next = await postLogout(dependencies, request.form.get('post_logout'));
  const session = await sessionOf(dependencies, request);
  if (session && (await sessions.end(session.id, session.user_id))) {
    await audit.record({
      action: 'session.ended',
      actor: `user:${session.user_id}`,
      user_id: session.user_id,
      ip: request.source,
      detail: { session_id: session.id, by: 'sign-out' },
    });
  }
  return redirect(next?.uri ?? prefix + paths.signOut, [endedSession]);
}

async function postLogout(
  { resolvePostLogout }: SignInDependencies,
  handle: string | undefined,
): Promise<PostLogout | undefined> {
  return handle === undefined ? undefined : resolvePostLogout(handle);
}
