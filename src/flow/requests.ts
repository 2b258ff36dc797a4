/**
 * flow: what pages and protocol share, as neither knows the other: addresses, the session's cookie, and what is kept between
 * two pages of one authorization. oauth/ writes the checked request and reads it back, signin/ adds what the person decided.
 */
import { sha256 } from '../kernel/bytes.ts';
import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import { type Random, randomToken } from '../kernel/random.ts';
import type { AuthorizationRequestStore } from '../store/store.ts';

/** An authorization request that has passed every check; nothing in it needs checking again. */
export interface AuthorizationRequest {
  readonly client_id: string;
  readonly redirect_uri: string;
  readonly response_mode: 'query' | 'form_post';
  readonly scope: string;
  /** Audiences: the resource indicators asked for (RFC 8707), else the issuer and the resources that own a scope. */
  readonly resources: readonly string[];
  readonly state: string | null;
  readonly nonce: string | null;
  readonly code_challenge: string | null;
  readonly prompt: readonly string[];
  /** Seconds; null where not asked. */
  readonly max_age: number | null;
  readonly login_hint: string | null;
  /** Only this user may answer, by `id_token_hint` or the `claims` parameter. */
  readonly subject: string | null;
  /** The `claims` parameter, JSON, checked. */
  readonly claims_json: string | null;
}

/** What the person said on the consent page. */
export interface Decision {
  readonly outcome: 'granted' | 'denied';
  /** The scope left after unticking. */
  readonly scope: string;
  /** The audiences left: those at which all of that scope that they understand was ticked. */
  readonly resources: readonly string[];
  readonly session_id: string;
  readonly at: number;
}

export interface StoredRequest {
  readonly request: AuthorizationRequest;
  readonly created_at: number;
  readonly decision: Decision | null;
}

/** How long a person may take between the first page and the last, ms. */
const REQUEST_LIFETIME = 30 * 60_000;

export class AuthorizationRequests {
  readonly #store: AuthorizationRequestStore;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(parts: { store: AuthorizationRequestStore; clock: Clock; random: Random }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  /** Keeps a request; the handle travels in the browser's address, only its hash is stored. */
  async save(request: AuthorizationRequest): Promise<string> {
    const handle = randomToken(this.#random);
    const now = this.#clock.now();
    await this.#store.save({
      request: {
        id: requestId(handle),
        client_id: request.client_id,
        request_json: JSON.stringify({ request, created_at: now, decision: null } satisfies StoredRequest),
        created_at: now,
        expires_at: now + REQUEST_LIFETIME,
      },
    });
    return handle;
  }

  /** The stored request, or undefined once it has expired or been answered. */
  async find(handle: string): Promise<StoredRequest | undefined> {
    const record = await this.#store.find({ id: requestId(handle), now: this.#clock.now() });
    return record && (JSON.parse(record.request_json) as StoredRequest);
  }

  /** Records what the person decided; false when the request is gone. */
  async decide(handle: string, stored: StoredRequest, decision: Decision): Promise<boolean> {
    const { outcome } = await this.#store.update({
      id: requestId(handle),
      request_json: JSON.stringify({ ...stored, decision } satisfies StoredRequest),
      now: this.#clock.now(),
    });
    return outcome === 'updated';
  }

  async remove(handle: string): Promise<void> {
    await this.#store.remove({ id: requestId(handle) });
  }
}

/** What a person is told whose request is not, or no longer, stored. */
export function requestGone(): Failure {
  return new Failure('invalid_input', 'This sign-in is finished already, or it has taken too long.', {
    hint: 'Go back to the application and start again from there.',
  });
}

/** The stored name of a handle. */
export function requestId(handle: string): string {
  return sha256(handle);
}
