import type { Cookie } from '../http/cookies.ts';
import type { Incoming } from '../http/exchange.ts';

/** The name under which a browser keeps its session's token. */
const NAME = 'session';

/** The session token that a browser brings along; nothing is known yet about whether it is good. */
export function sessionToken({ cookies }: Pick<Incoming, 'cookies'>): string | undefined {
  return cookies.get(NAME);
}

/** @param maxAge seconds that the browser keeps it */
export function sessionCookie(token: string, maxAge: number): Cookie {
  return { name: NAME, value: token, maxAge, sameSite: 'lax' };
}

/** Makes the browser forget the token. */
export const endedSession: Cookie = sessionCookie('', 0);
