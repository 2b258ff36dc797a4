import type { AuditEntry } from '../audit/trail.ts';
import { paths } from '../flow/paths.ts';
import { endedSession } from '../flow/session-cookie.ts';
import { checkCsrf } from '../http/csrf.ts';
import { type Incoming, type Outgoing, type Route, redirect } from '../http/exchange.ts';
import type { LiveSession, Session } from '../identity/sessions.ts';
import type { SignInDependencies } from './dependencies.ts';
import { deviceName } from './device.ts';
import { grantsOf } from './grants.ts';
import { formTokens, page, sessionOf, toSignIn } from './visit.ts';
import { ago, atTime, onDate } from './words.ts';

/** What the page says after something was done there; the address names only which. */
const NOTICES: ReadonlyMap<string, string> = new Map([
  ['session_ended', 'That device has been signed out.'],
  ['others_ended', 'Every other device has been signed out.'],
  ['access_withdrawn', 'The application no longer has access.'],
]);

/** Something a signed-in person does with a form on this page. */
interface Action {
  readonly path: string;
  /** What the form's token was made for. */
  purpose(request: Incoming): string;
  run(dependencies: SignInDependencies, session: LiveSession, request: Incoming): Promise<Outgoing>;
}

const actions: readonly Action[] = [
  {
    path: `${paths.account}/sessions/:id/end`,
    purpose: ({ params }) => `end-session:${params['id']}`,
    run: endOne,
  },
  { path: `${paths.account}/sessions/end-others`, purpose: () => 'end-others', run: endOthers },
  {
    path: `${paths.account}/grants/:client_id/withdraw`,
    purpose: ({ params }) => `withdraw:${params['client_id']}`,
    run: withdraw,
  },
];

export function accountRoutes(dependencies: SignInDependencies): readonly Route[] {
  const { prefix } = dependencies;
  const posts = actions.map(({ path, purpose, run }): Route => {
    const handle = async (request: Incoming) => {
      const session = await sessionOf(dependencies, request);
      if (!session) return toSignIn(prefix);
      checkCsrf(request, purpose(request));
      return run(dependencies, session, request);
    };
    return { method: 'POST', path, kind: 'page', body: 'form', handle };
  });
  const handle = (request: Incoming) => show(dependencies, request);
  return [{ method: 'GET', path: paths.account, kind: 'page', body: 'none', handle }, ...posts];
}

async function show(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const { pages, sessions, random, clock, prefix } = dependencies;
  const session = await sessionOf(dependencies, request);
  if (!session) return toSignIn(prefix);
  const { token, cookies } = formTokens(request, random);
  const now = clock.now();
  const grants = await grantsOf(dependencies, session.user_id);
  const live = await sessions.list(session.user_id);
  const content = {
    notice: NOTICES.get(request.query.get('notice') ?? ''),
    sessions: thisOneFirst(live, session).map((one) => ({
      action: `${prefix}${paths.account}/sessions/${encodeURIComponent(one.id)}/end`,
      csrf: token(`end-session:${one.id}`),
      device: deviceName(one.user_agent),
      ip: one.ip,
      current: one.id === session.id,
      started: atTime(one.auth_time),
      lastSeen: ago(one.last_seen_at, now),
    })),
    endOthers: { action: `${prefix}${paths.account}/sessions/end-others`, csrf: token('end-others') },
    grants: grants.map((grant) => ({
      ...grant,
      action: `${prefix}${paths.account}/grants/${encodeURIComponent(grant.clientId)}/withdraw`,
      csrf: token(`withdraw:${grant.clientId}`),
      since: onDate(grant.since),
    })),
  };
  const frame = { title: 'Your account', username: session.username, wide: true };
  return page(200, pages.render('account', frame, content), { cookies });
}

async function endOne(
  dependencies: SignInDependencies,
  session: LiveSession,
  request: Incoming,
): Promise<Outgoing> {
  const id = request.params['id'] ?? '';
  if (await dependencies.sessions.end(id, session.user_id)) {
    const detail = { session_id: id, by: 'account page' };
    await dependencies.audit.record(entry('session.ended', session, request, detail));
  }
  if (id === session.id) return redirect(dependencies.prefix + paths.signOut, [endedSession]);
  return back(dependencies, 'session_ended');
}

async function endOthers(
  dependencies: SignInDependencies,
  session: LiveSession,
  request: Incoming,
): Promise<Outgoing> {
  const ended = await dependencies.sessions.endAll(session.user_id, session.id);
  const detail = { ended, kept: session.id };
  await dependencies.audit.record(entry('session.others_ended', session, request, detail));
  return back(dependencies, 'others_ended');
}

async function withdraw(
  dependencies: SignInDependencies,
  session: LiveSession,
  request: Incoming,
): Promise<Outgoing> {
  const client_id = request.params['client_id'] ?? '';
  await dependencies.consents.withdraw({
    user_id: session.user_id,
    client_id,
    now: dependencies.clock.now(),
  });
  await dependencies.audit.record({ ...entry('consent.withdrawn', session, request), client_id });
  return back(dependencies, 'access_withdrawn');
}

function back({ prefix }: SignInDependencies, notice: string): Outgoing {
  return redirect(`${prefix}${paths.account}?notice=${notice}`);
}

function entry(
  action: AuditEntry['action'],
  { user_id }: LiveSession,
  { source }: Incoming,
  detail: AuditEntry['detail'] = {},
): AuditEntry {
  return { action, actor: `user:${user_id}`, user_id, ip: source, detail };
}

function thisOneFirst(live: readonly Session[], current: Session): readonly Session[] {
  return live.toSorted((a, b) => Number(b.id === current.id) - Number(a.id === current.id));
}
