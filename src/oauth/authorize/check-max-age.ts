import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';

/** s, ten years: what is longer is no wish but a mistake. */
const LONGEST_MAX_AGE = 10 * 365 * 86_400;

/** Seconds since the user was last authenticated, at most. */
export function checkMaxAge(params: Params): number | null {
  const text = params.get('max_age');
  if (text === undefined) return null;
  if (!/^\d{1,9}$/.test(text) || Number(text) > LONGEST_MAX_AGE) {
    throw new OAuthError('invalid_request', 'The max_age is not a number of seconds.');
  }
  return Number(text);
}
