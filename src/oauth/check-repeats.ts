import { OAuthError } from '../http/oauth-error.ts';
import type { Params } from '../http/params.ts';

/** Sent twice, these do not say for sure who asks or where the answer goes: only the person can be told. */
const ADDRESS = ['client_id', 'redirect_uri'];

/** RFC 8707 section 2 lets it repeat. */
const MAY_REPEAT = ['resource'];

export function refuseTwoAddresses(params: Params): void {
  const name = ADDRESS.find((one) => params.all(one).length > 1);
  if (name !== undefined) throw repeated(name);
}

/** No other parameter may come more than once (RFC 6749 sections 3.1 and 3.2). */
export function refuseRepeats(params: Params): void {
  const name = params.repeated(MAY_REPEAT);
  if (name !== undefined) throw repeated(name);
}

function repeated(name: string): OAuthError {
  return new OAuthError('invalid_request', 'A parameter is sent more than once (RFC 6749 section 3).', {
    detail: `repeated: ${JSON.stringify(name.slice(0, 100))}`,
  });
}
