import { equalSecrets, hmac } from '../kernel/bytes.ts';
import { Failure } from '../kernel/errors.ts';
import { type Random, randomToken } from '../kernel/random.ts';
import type { Cookie } from './cookies.ts';
import type { Incoming } from './exchange.ts';

/** The cookie that holds the browser's nonce, and the form field that proves knowledge of it. */
const COOKIE = 'browser';
const FIELD = 'csrf';

const NONCE = /^[A-Za-z0-9_-]{43}$/;

/**
 * The nonce of this browser, made when it has none yet; then `cookie` must be set with the page. It is unguessable,
 * HttpOnly and, on https, out of reach of sibling domains, so no secret of the server is needed on top of it.
 */
export function browserNonce(request: Incoming, random: Random): { nonce: string; cookie?: Cookie } {
  const known = knownNonce(request);
  if (known !== undefined) return { nonce: known };
  const nonce = randomToken(random);
  return { nonce, cookie: { name: COOKIE, value: nonce, sameSite: 'lax' } };
}

/** The value of the form field `csrf` for forms of one purpose (`signin`, `consent` ...). */
export function csrfToken(nonce: string, purpose: string): string {
  return hmac(nonce, purpose);
}

/** Throws Failure `forbidden` unless the form came from a page that we gave this browser for this purpose. */
export function checkCsrf(request: Incoming, purpose: string): void {
  const nonce = knownNonce(request);
  const token = request.form.get(FIELD);
  if (nonce !== undefined && token !== undefined && equalSecrets(token, csrfToken(nonce, purpose))) return;
  throw new Failure(
    'forbidden',
    'This form did not come from a page we gave this browser, or it has expired.',
    {
      detail:
        nonce === undefined ? 'no browser cookie' : token === undefined ? 'no csrf field' : 'csrf mismatch',
      hint: 'Allow cookies for this site, go back, reload the page and try again.',
    },
  );
}

function knownNonce(request: Incoming): string | undefined {
  const value = request.cookies.get(COOKIE);
  return value !== undefined && NONCE.test(value) ? value : undefined;
}
