import { paths } from '../flow/paths.ts';
import type { AuthorizationRequest, StoredRequest } from '../flow/requests.ts';
import { checkCsrf } from '../http/csrf.ts';
import type { Incoming, Outgoing, Route } from '../http/exchange.ts';
import type { LiveSession } from '../identity/sessions.ts';
import { Failure } from '../kernel/errors.ts';
import { describeScope, SERVER, scopesByResource } from '../registry/catalogue.ts';
import type { Client } from '../registry/clients.ts';
import type { Resource } from '../registry/resources.ts';
import { formatScope, scopeTokens, subtractScopes } from '../registry/scopes.ts';
import type { SignInDependencies } from './dependencies.ts';
import { hostInWords } from './host.ts';
import { formTokens, page, requestGone, resume, sessionOf, storedRequest, toSignIn } from './visit.ts';

const NOTHING_TICKED = 'Nothing is ticked. Tick what you want to allow, or choose Deny.';

/** What a resource is asked for that has no scopes, or of which none is named. */
const WHOLE = { name: '', description: 'Use it in your name', fixed: true, ticked: true };

/** Who is asked what, by whom. */
interface Question {
  readonly handle: string;
  readonly stored: StoredRequest;
  readonly session: LiveSession;
  readonly client: Client;
  readonly resources: readonly Resource[];
}

export function consentRoutes(dependencies: SignInDependencies): readonly Route[] {
  return [
    {
      method: 'GET',
      path: paths.consent,
      kind: 'page',
      body: 'none',
      handle: (request) => show(dependencies, request),
    },
    {
      method: 'POST',
      path: paths.consent,
      kind: 'page',
      body: 'form',
      handle: (request) => submit(dependencies, request),
    },
  ];
}

async function show(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const { handle, stored } = await storedRequest(dependencies, request.query.get('request'));
  const session = await sessionOf(dependencies, request);
  if (!session) return toSignIn(dependencies.prefix, handle);
  const question = await questionOf(dependencies, handle, stored, session);
  return consentPage(dependencies, request, question, { status: 200, ticked: stored.request.scope });
}

async function submit(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const { handle, stored } = await storedRequest(dependencies, request.form.get('request'));
  const session = await sessionOf(dependencies, request);
  if (!session) return toSignIn(dependencies.prefix, handle);
  checkCsrf(request, purpose(handle, session));
  const question = await questionOf(dependencies, handle, stored, session);

  const choice = request.form.get('decision');
  if (choice === 'deny') return decide(dependencies, request, question, 'denied', '');
  if (choice !== 'allow') {
    throw new Failure('invalid_input', 'The form does not say whether you allow or deny.', {
      hint: 'Go back and choose one of the two buttons.',
    });
  }
  const granted = grantedScope(stored.request, request.form.all('scope'));
  if (granted === '' && stored.request.scope !== '') {
    return consentPage(dependencies, request, question, { status: 422, ticked: '', fault: NOTHING_TICKED });
  }
  await keepConsent(dependencies, question, granted);
  return decide(dependencies, request, question, 'granted', granted);
}

/** Only what was asked for can be granted, and `openid` is what signing in means: it cannot be unticked. */
function grantedScope(request: AuthorizationRequest, ticked: readonly string[]): string {
  const chosen = new Set([...ticked, 'openid']);
  return formatScope(scopeTokens(request.scope).filter((token) => chosen.has(token)));
}

async function decide(
  { requests, record, clock, prefix }: SignInDependencies,
  { source }: Incoming,
  { handle, stored, session }: Question,
  outcome: 'granted' | 'denied',
  scope: string,
): Promise<Outgoing> {
  const decision = { outcome, scope, session_id: session.id, at: clock.now() };
  if (!(await requests.decide(handle, stored, decision))) throw requestGone();
  await record({
    action: `consent.${outcome}`,
    actor: session.user_id,
    user_id: session.user_id,
    client_id: stored.request.client_id,
    ip: source,
    detail: { scope, resources: stored.request.resources, session_id: session.id },
  });
  return resume(prefix, handle);
}

/** What was asked about now is answered anew; what was allowed before and not asked about again stays allowed. */
async function keepConsent(
  { consents, clock }: SignInDependencies,
  { stored, session, resources }: Question,
  granted: string,
): Promise<void> {
  const { client_id } = stored.request;
  const now = clock.now();
  const former = await consents.find({ user_id: session.user_id, client_id });
  const allowed = scopesByResource(granted, resources);
  const records = [...scopesByResource(stored.request.scope, resources)].map(([resource, asked]) => {
    const before = former.find((consent) => consent.resource === resource);
    const kept = subtractScopes(before?.scope ?? '', formatScope(asked));
    return {
      user_id: session.user_id,
      client_id,
      resource,
      scope: formatScope([...scopeTokens(kept), ...(allowed.get(resource) ?? [])]),
      granted_at: before?.granted_at ?? now,
      updated_at: now,
    };
  });
  await consents.save({ consents: records });
}

async function questionOf(
  { clients, resources }: SignInDependencies,
  handle: string,
  stored: StoredRequest,
  session: LiveSession,
): Promise<Question> {
  const client = await clients.find(stored.request.client_id);
  if (!client) throw requestGone();
  const found = await Promise.all(stored.request.resources.map((uri) => resources.find(uri)));
  return { handle, stored, session, client, resources: found.filter((resource) => resource !== undefined) };
}

function consentPage(
  { pages, random }: SignInDependencies,
  request: Incoming,
  { handle, stored, session, client, resources }: Question,
  { status, ticked, fault }: { status: number; ticked: string; fault?: string },
): Outgoing {
  const { token, cookies } = formTokens(request, random);
  const { redirect_uri, scope } = stored.request;
  const frame = { title: `Give ${client.name} access?`, username: session.username };
  const content = {
    csrf: token(purpose(handle, session)),
    handle,
    client,
    host: hostInWords(redirect_uri),
    username: session.username,
    groups: scopeGroups(scope, ticked, resources),
    fault,
  };
  return page(status, pages.render('consent', frame, content), { cookies, leadsTo: redirect_uri });
}

/** What is asked for, the server's own first, then by resource. */
function scopeGroups(scope: string, ticked: string, resources: readonly Resource[]) {
  const on = new Set(scopeTokens(ticked));
  const allotted = scopesByResource(scope, resources);
  const owners = [{ uri: SERVER, name: null }, ...resources];
  return owners.flatMap((owner) => {
    const resource = resources.find(({ uri }) => uri === owner.uri);
    const scopes = (allotted.get(owner.uri) ?? []).map((name) => ({
      name,
      description: describeScope(name, resource),
      fixed: name === 'openid',
      ticked: on.has(name),
    }));
    if (scopes.length > 0) return [{ uri: owner.uri, name: owner.name, scopes }];
    return resource ? [{ uri: resource.uri, name: resource.name, scopes: [WHOLE] }] : [];
  });
}

/** Bound to the session, so that a page shown to one user is never answered by another in the same browser. */
function purpose(handle: string, session: LiveSession): string {
  return `consent:${handle}:${session.id}`;
}
