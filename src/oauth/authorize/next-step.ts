import type { AuthorizationRequest, Decision } from '../../flow/requests.ts';
import type { OAuthErrorCode } from '../../http/oauth-error.ts';
import type { Session } from '../../identity/sessions.ts';
import { scopesByResource } from '../../registry/catalogue.ts';
import { type Client, isPublic } from '../../registry/clients.ts';
import type { Resource } from '../../registry/resources.ts';
import { formatScope, scopeWithin } from '../../registry/scopes.ts';
import type { ConsentRecord } from '../../store/records.ts';
import { isAcceptedAcr } from '../claims-parameter.ts';

/** Everything the next step depends on. */
export interface Facts {
  readonly request: AuthorizationRequest;
  readonly client: Client;
  /** The resources named in the request. */
  readonly resources: readonly Resource[];
  /** When the request came in, ms. */
  readonly created_at: number;
  readonly decision: Decision | null;
  readonly session: Session | undefined;
  /** What this user has allowed this client so far. */
  readonly consents: readonly ConsentRecord[];
  readonly now: number;
}

export type Step =
  | { readonly to: 'sign-in' }
  | { readonly to: 'consent' }
  | {
      readonly to: 'code';
      readonly session: Session;
      readonly scope: string;
      /** The audiences that something was granted for. */
      readonly resources: readonly string[];
    }
  | { readonly to: 'error'; readonly error: OAuthErrorCode; readonly description: string };

/** The one place that decides what a browser meets next; it looks at stored facts only, so any step may be repeated. */
export function nextStep(facts: Facts): Step {
  const { request, session, decision } = facts;
  const silent = request.prompt.includes('none');
  if (decision?.outcome === 'denied') return refusal('access_denied', 'The user denied the request.');
  if (!session || !isAuthenticatedEnough(facts, session)) {
    if (!silent) return { to: 'sign-in' };
    return refusal('login_required', 'The user is not signed in as the request needs.');
  }
  if (request.subject !== null && request.subject !== session.user_id) {
    return refusal('login_required', 'Another user signed in than the request names.');
  }
  if (!isAcceptedAcr(request.claims_json, session.acr)) {
    return refusal(
      'unmet_authentication_requirements',
      'No sign-in here has the acr that the request needs.',
    );
  }
  if (decision?.outcome === 'granted' && decision.session_id === session.id) {
    return grant(session, decision);
  }
  if (!needsConsent(facts)) return grant(session, request);
  if (!silent) return { to: 'consent' };
  return refusal('consent_required', 'The user has not consented to this.');
}

function grant(session: Session, { scope, resources }: Pick<Decision, 'scope' | 'resources'>): Step {
  if (resources.length > 0) return { to: 'code', session, scope, resources };
  return refusal('access_denied', 'The user allowed nothing at the resource.');
}

function refusal(error: OAuthErrorCode, description: string): Step {
  return { to: 'error', error, description };
}

/** `prompt`, `max_age` and `id_token_hint` may ask for a new sign-in; one made since the request came in satisfies all. */
function isAuthenticatedEnough({ request, created_at, now }: Facts, session: Session): boolean {
  if (session.auth_time >= created_at) return true;
  if (request.prompt.includes('login') || request.prompt.includes('select_account')) return false;
  if (request.subject !== null && request.subject !== session.user_id && !request.prompt.includes('none'))
    return false;
  return request.max_age === null || now - session.auth_time < Math.max(request.max_age * 1000, 1);
}

function needsConsent(facts: Facts): boolean {
  const { request, client } = facts;
  if (request.prompt.includes('consent')) return true;
  if (client.skip_consent) return false;
  // Anybody on the device may pose as a public client with such a redirect URI, so each time the user is asked
  // (RFC 8252 section 8.6, OAuth 2.1 section 7.3.1).
  if (isPublic(client) && !request.redirect_uri.startsWith('https:')) return true;
  return !isCovered(facts);
}

/** Where nothing is asked for by name, there is nothing to remember either: a resource without scopes is asked about each time. */
function isCovered({ request, resources, consents }: Facts): boolean {
  const asked = scopesByResource(request.scope, resources);
  if (!resources.every(({ uri }) => asked.has(uri))) return false;
  for (const [resource, tokens] of asked) {
    const consent = consents.find((candidate) => candidate.resource === resource);
    if (!consent || !scopeWithin(formatScope(tokens), consent.scope)) return false;
  }
  return request.scope !== '';
}
