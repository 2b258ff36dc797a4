import { paths, withRequest } from '../flow/paths.ts';
import { requestGone, type StoredRequest } from '../flow/requests.ts';
import { sessionToken } from '../flow/session-cookie.ts';
import type { Cookie } from '../http/cookies.ts';
import { browserNonce, csrfToken } from '../http/csrf.ts';
import { html, type Incoming, type Outgoing, redirect } from '../http/exchange.ts';
import { pageCsp } from '../http/headers.ts';
import type { LiveSession } from '../identity/sessions.ts';
import type { Random } from '../kernel/random.ts';
import type { SignInDependencies } from './dependencies.ts';

/** The session of the browser that asks. */
export function sessionOf(
  { sessions }: Pick<SignInDependencies, 'sessions'>,
  request: Incoming,
): Promise<LiveSession | undefined> {
  return sessions.find(sessionToken(request));
}

/** Makes the hidden fields of a page's forms, and the cookie that must go out with them. */
export function formTokens(request: Incoming, random: Random) {
  const { nonce, cookie } = browserNonce(request, random);
  return {
    token: (purpose: string) => csrfToken(nonce, purpose),
    cookies: cookie ? [cookie] : [],
  };
}

export interface PageOptions {
  readonly cookies?: readonly Cookie[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the browser may end up after the page's form: browsers hold redirects against `form-action` too. */
  readonly leadsTo?: string;
}

export function page(status: number, body: string, options: PageOptions = {}): Outgoing {
  const csp = options.leadsTo && { 'content-security-policy': pageCsp({ redirectUri: options.leadsTo }) };
  const answer = html(status, body, options.cookies);
  return { ...answer, headers: { ...answer.headers, ...csp, ...options.headers } };
}

/** The stored request behind a handle, or the failure that tells a person to start again. */
export async function storedRequest(
  { requests }: Pick<SignInDependencies, 'requests'>,
  handle: string | undefined,
): Promise<{ handle: string; stored: StoredRequest }> {
  const stored = handle === undefined ? undefined : await requests.find(handle);
  if (handle === undefined || !stored) throw requestGone();
  return { handle, stored };
}

/** Back to the flow, which decides what comes next. */
export function resume(prefix: string, handle: string, cookies: readonly Cookie[] = []): Outgoing {
  return redirect(withRequest(prefix, paths.resume, handle), cookies);
}

/** To the sign-in page, and from there on with the request where there is one. */
export function toSignIn(prefix: string, handle?: string): Outgoing {
  return redirect(handle === undefined ? prefix + paths.signIn : withRequest(prefix, paths.signIn, handle));
}
