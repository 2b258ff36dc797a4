import { OAuthError } from '../../http/oauth-error.ts';
import type { Params } from '../../http/params.ts';

const PROMPTS = new Set(['none', 'login', 'consent', 'select_account']);

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
