import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';

const PROMPTS = new Set(['none', 'login', 'consent', 'select_account']);
const LONGEST_MAX_AGE = 10 * 365 * 86_400;

/** OpenID Connect Core 3.1.2.1: which pages the client insists on, or that there be none. */
export function checkPrompt(params: Params): readonly string[] {
  const prompts = [...new Set((params.get('prompt') ?? '').split(' ').filter((prompt) => prompt !== ''))];
  if (!prompts.every((prompt) => PROMPTS.has(prompt))) {
    throw new OAuthError(
      'invalid_request',
      'The prompt has a value other than none, login, consent and select_account.',
    );
  }
  if (prompts.includes('none') && prompts.length > 1) {
    throw new OAuthError(
      'invalid_request',
      'The prompt none cannot be combined with others (OpenID Connect Core 3.1.2.1).',
    );
  }
  return prompts;
}

/** Seconds since the user was last authenticated, at most. */
export function checkMaxAge(params: Params): number | null {
  const text = params.get('max_age');
  if (text === undefined) return null;
  if (!/^\d{1,9}$/.test(text) || Number(text) > LONGEST_MAX_AGE) {
    throw new OAuthError('invalid_request', 'The max_age is not a number of seconds.');
  }
  return Number(text);
}

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
