import { bearerCredentials } from '../http/bearer.ts';
import type { Incoming } from '../http/exchange.ts';
import { OAuthError } from '../http/oauth-error.ts';
import type { Lockout } from '../identity/lockout.ts';
import { Failure } from '../kernel/errors.ts';
import type { AdminApiKey } from './admin-api-key.ts';
import type { Caller } from './admin-route.ts';

/** Failures are counted under this name. No form can send it (U+0000): nobody locks this door from the sign-in page. */
const ACCOUNT = '\0admin api';

/** Who may: whoever opens the socket in the state directory, which only its owner can, or holds the API key. */
export class Access {
  readonly #apiKey: AdminApiKey;
  readonly #lockout: Lockout;

  constructor(parts: { apiKey: AdminApiKey; lockout: Lockout }) {
    this.#apiKey = parts.apiKey;
    this.#lockout = parts.lockout;
  }

  /** The caller, or a refusal: 401 without the key, `rate_limited` after too many wrong ones from one source. */
  async admit(request: Incoming): Promise<Caller> {
    if (request.via !== 'tcp') return { actor: 'admin:operator', ip: null };
    const { source } = request;
    const key = bearerCredentials(request.headers['authorization']);
    if (key === undefined) throw unauthenticated('The admin API needs its key.');
    const wait = await this.#lockout.lockedFor(ACCOUNT, source);
    if (wait > 0) throw tooMany(wait);
    if (await this.#apiKey.matches(key)) return { actor: 'admin:api', ip: source };
    await this.#lockout.count(ACCOUNT, source);
    throw unauthenticated('The key of the admin API is wrong.', 'invalid_token');
  }
}

/** For what the API key does not open: only who has a shell on this machine may. */
export function onlyHere({ actor }: Caller, sentence: string, command: string): void {
  if (actor === 'admin:operator') return;
  throw new Failure('forbidden', sentence, {
    hint: `Use the command line on the server's machine: ${command}.`,
  });
}

/** RFC 6750 section 3.1: the challenge has an error code only where a key was sent. */
function unauthenticated(sentence: string, error?: 'invalid_token'): OAuthError {
  const challenge = error ? `Bearer realm="admin", error="${error}"` : 'Bearer realm="admin"';
  return new OAuthError('invalid_token', sentence, {
    hint: 'Send it as Authorization: Bearer <key>. It is admin.api_key, or what the first start printed; `authserver admin api-key rotate` on this machine makes a new one.',
    headers: { 'www-authenticate': challenge },
  });
}

function tooMany(seconds: number): Failure {
  return new Failure('rate_limited', 'Too many wrong keys have come from this address.', {
    hint: `Wait ${seconds} s, or use the command line on the server's machine, which needs no key.`,
    retryAfter: seconds,
  });
}
