import type { Incoming } from '../http/exchange.ts';
import { OAuthError } from '../http/oauth-error.ts';
import { equalSecrets, sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Client, Clients } from '../registry/clients.ts';
import { refuseRepeats } from './check-repeats.ts';
import { ASSERTION_TYPE, type ClientAssertions } from './client-assertion.ts';

/** What a request says about its client, by one of the methods of RFC 6749 section 2.3 or RFC 7523 section 2.2. */
type Credentials =
  | { readonly method: 'none'; readonly id: string }
  | {
      readonly method: 'client_secret_basic' | 'client_secret_post';
      readonly id: string;
      readonly secret: string;
    }
  | { readonly method: 'private_key_jwt'; readonly id: string; readonly assertion: string };

/** Finds out which client is calling and proves it. One for all endpoints, so that none can forget a check. */
export class ClientAuthentication {
  readonly #clients: Clients;
  readonly #assertions: ClientAssertions;
  readonly #clock: Clock;

  constructor(parts: { clients: Clients; assertions: ClientAssertions; clock: Clock }) {
    this.#clients = parts.clients;
    this.#assertions = parts.assertions;
    this.#clock = parts.clock;
  }

  /**
   * The client behind a request.
   * @throws OAuthError `invalid_client` (401), or `invalid_request` when it identifies itself or says anything else twice
   */
  async authenticate(request: Incoming): Promise<Client> {
    refuseRepeats(request.form);
    const credentials = readCredentials(request);
    // Decoded a second time inside a header or an assertion, a name may hold what no database takes as text.
    if (credentials.id.includes('\0')) throw invalidClient(request, 'the client_id contains U+0000');
    const client = await this.#clients.findActive(credentials.id);
    if (!client) throw invalidClient(request, `no active client "${credentials.id.slice(0, 100)}"`);
    if (client.token_endpoint_auth_method !== credentials.method) {
      const registered = client.token_endpoint_auth_method;
      throw invalidClient(request, `used ${credentials.method}, is registered for ${registered}`);
    }
    await this.#prove(client, credentials, request);
    return client;
  }

  async #prove(client: Client, credentials: Credentials, request: Incoming): Promise<void> {
    if (credentials.method === 'none') return;
    if (credentials.method === 'private_key_jwt') {
      const fault = await this.#assertions.check(client, credentials.assertion);
      if (fault) throw invalidClient(request, fault);
      return;
    }
    if (!this.#isLiveSecret(client, credentials.secret))
      throw invalidClient(request, 'wrong or expired secret');
  }

  /** Any of the client's secrets that has not ended: two overlap while one replaces the other. */
  #isLiveSecret(client: Client, secret: string): boolean {
    const hash = sha256(secret);
    const now = this.#clock.now();
    return client.secrets.some(
      ({ secret_hash, expires_at }) =>
        (expires_at === null || expires_at > now) && equalSecrets(secret_hash, hash),
    );
  }
}

function readCredentials(request: Incoming): Credentials {
  const { form } = request;
  const authorization = request.headers.authorization;
  const id = form.get('client_id');
  const secret = form.get('client_secret');
  const assertion = form.get('client_assertion');
  const used = [authorization, secret, assertion].filter((value) => value !== undefined);
  if (used.length > 1) {
    throw new OAuthError(
      'invalid_request',
      'The client authenticates in more than one way (RFC 6749 section 2.3).',
    );
  }
  if (authorization !== undefined) return basicCredentials(authorization, id, request);
  if (assertion !== undefined) return assertionCredentials(assertion, request);
  if (id === undefined) throw invalidClient(request, 'no client_id and no client authentication');
  return secret === undefined ? { method: 'none', id } : { method: 'client_secret_post', id, secret };
}

function basicCredentials(header: string, bodyId: string | undefined, request: Incoming): Credentials {
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header) ?? [];
  const text = encoded && Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text ? text.indexOf(':') : -1;
  if (!text || colon < 1) throw invalidClient(request, 'malformed Authorization header');
  const id = formDecode(text.slice(0, colon));
  const secret = formDecode(text.slice(colon + 1));
  if (id === undefined || secret === undefined)
    throw invalidClient(request, 'credentials are not form-urlencoded');
  if (bodyId !== undefined && bodyId !== id)
    throw invalidClient(request, 'client_id differs from the Authorization header');
  return { method: 'client_secret_basic', id, secret };
}

/** RFC 6749 section 2.3.1: id and secret are form-urlencoded before they are joined. */
function formDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

function assertionCredentials(assertion: string, request: Incoming): Credentials {
  if (request.form.get('client_assertion_type') !== ASSERTION_TYPE) {
    throw invalidClient(request, 'client_assertion_type is missing or not a JWT bearer assertion');
  }
  const id = subjectOf(assertion);
  const bodyId = request.form.get('client_id');
  if (id === undefined) throw invalidClient(request, 'the assertion is not a JWT with a subject');
  if (bodyId !== undefined && bodyId !== id)
    throw invalidClient(request, 'client_id differs from the assertion');
  return { method: 'private_key_jwt', id, assertion };
}

/** The subject that an assertion claims: only a name to look the keys up by, nothing is proven yet. */
function subjectOf(assertion: string): string | undefined {
  try {
    const payload = JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof payload?.sub === 'string' ? payload.sub : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 6749 section 5.2: 401, and a challenge when the Authorization header was used. */
function invalidClient(request: Incoming, detail: string): OAuthError {
  const challenged = request.headers.authorization !== undefined;
  return new OAuthError('invalid_client', 'Client authentication failed.', {
    detail,
    headers: challenged ? { 'www-authenticate': 'Basic realm="authserver", charset="UTF-8"' } : {},
  });
}
