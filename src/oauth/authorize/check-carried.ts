import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';

/** Values that are only carried: they come back in the answer or in the ID token as they are. */
export function checkCarried(
  params: Params,
  name: 'state' | 'nonce' | 'login_hint',
  longest: number,
): string | null {
  const value = params.get(name);
  if (value === undefined) return null;
  if (value.length > longest)
    throw new OAuthError('invalid_request', `The parameter ${name} is longer than ${longest} characters.`);
  return value;
}
