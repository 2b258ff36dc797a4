import { paths } from '../flow/paths.ts';
import { sessionCookie, sessionToken } from '../flow/session-cookie.ts';
import { checkCsrf } from '../http/csrf.ts';
import { type Incoming, type Outgoing, type Route, redirect } from '../http/exchange.ts';
import { seconds } from '../kernel/clock.ts';
import type { SignInDependencies } from './dependencies.ts';
import { hostInWords } from './host.ts';
import { formTokens, page, resume, sessionOf, storedRequest } from './visit.ts';
import { inWords } from './words.ts';

const PURPOSE = 'signin';
const REFUSED = 'The user name or password is not right.';
const INCOMPLETE = 'Enter your user name and your password.';

/** Who asks for this sign-in, and what they hand along. */
interface Occasion {
  readonly handle?: string;
  readonly clientName?: string;
  /** Where a client leads that nobody here has reviewed. */
  readonly unreviewedHost?: string;
  readonly loginHint?: string;
  readonly redirectUri?: string;
}

interface View {
  readonly status: number;
  readonly username?: string;
  readonly fault?: string;
  readonly retryAfter?: number;
}

export function signInRoutes(dependencies: SignInDependencies): readonly Route[] {
  return [
    {
      method: 'GET',
      path: paths.signIn,
      kind: 'page',
      body: 'none',
      handle: (request) => show(dependencies, request),
    },
    {
      method: 'POST',
      path: paths.signIn,
      kind: 'page',
      body: 'form',
      handle: (request) => submit(dependencies, request),
    },
  ];
}

async function show(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const occasion = await occasionOf(dependencies, request.query.get('request'));
  if (occasion.handle === undefined && (await sessionOf(dependencies, request))) {
    return redirect(dependencies.prefix + paths.account);
  }
  const view = { status: 200, ...(occasion.loginHint && { username: occasion.loginHint }) };
  return signInPage(dependencies, request, occasion, view);
}

async function submit(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  checkCsrf(request, PURPOSE);
  const occasion = await occasionOf(dependencies, request.form.get('request'));
  const username = request.form.get('username') ?? '';
  const password = request.form.get('password');
  const again = (view: View) => signInPage(dependencies, request, occasion, { ...view, username });
  if (!username || !password) return again({ status: 422, fault: INCOMPLETE });

  const answer = await dependencies.signIn.attempt({
    login: username,
    password,
    source: request.source,
    userAgent: request.headers['user-agent'] ?? '',
    replaces: sessionToken(request) ?? null,
  });
  if (answer.outcome === 'refused') return again({ status: 422, fault: REFUSED });
  if (answer.outcome === 'locked') {
    const fault = `There have been too many failed tries. Try again in ${inWords(answer.retryAfter)}.`;
    return again({ status: 429, fault, retryAfter: answer.retryAfter });
  }

  const cookie = sessionCookie(answer.token, seconds(dependencies.sessions.lifetimes.absolute));
  return occasion.handle === undefined
    ? redirect(dependencies.prefix + paths.account, [cookie])
    : resume(dependencies.prefix, occasion.handle, [cookie]);
}

async function occasionOf(dependencies: SignInDependencies, handle: string | undefined): Promise<Occasion> {
  if (handle === undefined) return {};
  const { stored } = await storedRequest(dependencies, handle);
  const { client_id, login_hint, redirect_uri } = stored.request;
  const client = await dependencies.clients.find(client_id);
  return {
    handle,
    redirectUri: redirect_uri,
    ...(client && { clientName: client.name }),
    ...(client?.source === 'dynamic' && { unreviewedHost: hostInWords(redirect_uri) }),
    ...(login_hint !== null && { loginHint: login_hint }),
  };
}

function signInPage(
  { pages, random }: SignInDependencies,
  request: Incoming,
  { handle, clientName, unreviewedHost, redirectUri }: Occasion,
  { status, username, fault, retryAfter }: View,
): Outgoing {
  const { token, cookies } = formTokens(request, random);
  const title = fault ? 'Sign-in failed' : 'Sign in';
  const content = { csrf: token(PURPOSE), handle, clientName, unreviewedHost, username, fault };
  return page(status, pages.render('sign-in', { title }, content), {
    cookies,
    ...(redirectUri && { leadsTo: redirectUri }),
    ...(retryAfter && { headers: { 'retry-after': String(retryAfter) } }),
  });
}
