import { paths, withRequest } from '../../flow/paths.ts';
import {
  type AuthorizationRequest,
  type AuthorizationRequests,
  requestGone,
  requestId,
  type StoredRequest,
} from '../../flow/requests.ts';
import { sessionToken } from '../../flow/session-cookie.ts';
import { type Incoming, type Outgoing, redirect } from '../../http/exchange.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import type { Sessions } from '../../identity/sessions.ts';
import { sha256 } from '../../kernel/bytes.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Ids } from '../../kernel/ids.ts';
import { type Random, randomToken } from '../../kernel/random.ts';
import type { Client, Clients } from '../../registry/clients.ts';
import type { Resources } from '../../registry/resources.ts';
import type { CodeStore, ConsentStore } from '../../store/store.ts';
import type { OAuthSettings } from '../settings.ts';
import { answerClient, refuseClient } from './answer.ts';
import { nextStep, type Step } from './next-step.ts';

type Granted = Extract<Step, { to: 'code' }>;

export interface DispatcherParts {
  readonly issuer: string;
  /** The issuer's path. */
  readonly prefix: string;
  readonly settings: OAuthSettings;
  readonly requests: AuthorizationRequests;
  readonly clients: Clients;
  readonly resources: Resources;
  readonly sessions: Pick<Sessions, 'find'>;
  readonly consents: Pick<ConsentStore, 'find'>;
  readonly codes: Pick<CodeStore, 'issue'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
}

/** Sends a browser to its next page, and at the end back to the client. Pages return here, never to each other. */
export class Dispatcher {
  readonly #parts: DispatcherParts;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
  }

  /** A request that just came in. It is stored only when a page is needed. */
  async begin(incoming: Incoming, request: AuthorizationRequest, client: Client): Promise<Outgoing> {
    const { prefix, requests } = this.#parts;
    // A form that another site posts comes without our session (SameSite=Lax); the redirect brings it along.
    if (incoming.method === 'POST')
      return redirect(withRequest(prefix, paths.resume, await requests.save(request)));
    const stored: StoredRequest = { request, created_at: this.#parts.clock.now(), decision: null };
    return this.#advance(incoming, stored, client, null);
  }

  /** A request that comes back from a page. */
  async resume(incoming: Incoming): Promise<Outgoing> {
    const handle = incoming.query.get('request');
    const stored = handle === undefined ? undefined : await this.#parts.requests.find(handle);
    const client = stored && (await this.#parts.clients.findActive(stored.request.client_id));
    if (handle === undefined || !stored || !client) throw requestGone();
    return this.#advance(incoming, stored, client, handle);
  }

  async #advance(
    incoming: Incoming,
    stored: StoredRequest,
    client: Client,
    handle: string | null,
  ): Promise<Outgoing> {
    const { issuer, prefix, requests, clock } = this.#parts;
    const { request } = stored;
    const session = await this.#parts.sessions.find(sessionToken(incoming));
    const step = nextStep({
      ...stored,
      client,
      session,
      resources: await this.#parts.resources.findAll(request.resources),
      consents: session
        ? await this.#parts.consents.find({ user_id: session.user_id, client_id: client.id })
        : [],
      now: clock.now(),
    });
    switch (step.to) {
      case 'sign-in':
      case 'consent': {
        const page = step.to === 'sign-in' ? paths.signIn : paths.consent;
        return redirect(withRequest(prefix, page, handle ?? (await requests.save(request))));
      }
      case 'error':
        if (handle !== null) await requests.remove(handle);
        return refuseClient(request, issuer, new OAuthError(step.error, step.description));
      case 'code':
        return answerClient(request, issuer, {
          code: await this.#issueCode(request, step, handle),
        });
    }
  }

  async #issueCode(
    request: AuthorizationRequest,
    { session, scope, resources }: Granted,
    handle: string | null,
  ): Promise<string> {
    const { settings, codes, clock, random, ids } = this.#parts;
    const code = randomToken(random);
    const now = clock.now();
    const { outcome } = await codes.issue({
      request_id: handle === null ? null : requestId(handle),
      code: {
        code_hash: sha256(code),
        family_id: ids.next('fam'),
        client_id: request.client_id,
        user_id: session.user_id,
        session_id: session.id,
        redirect_uri: request.redirect_uri,
        scope,
        resources_json: JSON.stringify(resources),
        nonce: request.nonce,
        code_challenge: request.code_challenge,
        claims_json: request.claims_json,
        auth_time: session.auth_time,
        acr: session.acr,
        amr_json: JSON.stringify(session.amr),
        created_at: now,
        expires_at: now + settings.code_lifetime,
        redeemed_at: null,
      },
    });
    // Two windows may come back with one decision: the first has the code.
    if (outcome === 'gone') throw requestGone();
    return code;
  }
}
