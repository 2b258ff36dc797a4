import { paths } from '../flow/paths.ts';
import { type Decision, requestGone, type StoredRequest } from '../flow/requests.ts';
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
import { grantOf, readTicks, type Ticks, tickValue } from './ticks.ts';
import { formTokens, page, resume, sessionOf, storedRequest, toSignIn } from './visit.ts';

const NOTHING_TICKED = 'Nothing is ticked. Tick what you want to allow, or choose Deny.';

/** What a resource is asked for that has no scopes, or of which none is named. */
const WHOLE = { value: '', description: 'Use it in your name', fixed: true, ticked: true };

/** Who is asked what, by whom. */
interface Question {
  readonly handle: string;
  readonly stored: StoredRequest;
  readonly session: LiveSession;
  readonly client: Client;
  readonly resources: readonly Resource[];
  /** The scope by resource. */
  readonly asked: Ticks;
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
  return consentPage(dependencies, request, question, { status: 200, ticked: question.asked });
}

async function submit(dependencies: SignInDependencies, request: Incoming): Promise<Outgoing> {
  const { handle, stored } = await storedRequest(dependencies, request.form.get('request'));
  const session = await sessionOf(dependencies, request);
  if (!session) return toSignIn(dependencies.prefix, handle);
  checkCsrf(request, purpose(handle, session));
  const question = await questionOf(dependencies, handle, stored, session);

  const choice = request.form.get('decision');
  if (choice === 'deny') {
    return decide(dependencies, request, question, { outcome: 'denied', scope: '', resources: [] });
  }
  if (choice !== 'allow') {
    throw new Failure('invalid_input', 'The form does not say whether you allow or deny.', {
      hint: 'Go back and choose one of the two buttons.',
    });
  }
  const ticked = readTicks(stored.request, question.asked, request.form.all('scope'));
  const grant = grantOf(stored.request, question.asked, ticked);
  if (grant.scope === '' && stored.request.scope !== '') {
    return consentPage(dependencies, request, question, { status: 422, ticked, fault: NOTHING_TICKED });
  }
  await keepConsent(dependencies, question, ticked);
  return decide(dependencies, request, question, { outcome: 'granted', ...grant });
}

async function decide(
  { requests, audit, clock, prefix, meter }: SignInDependencies,
  { source }: Incoming,
  { handle, stored, session }: Question,
  { outcome, scope, resources }: Pick<Decision, 'outcome' | 'scope' | 'resources'>,
): Promise<Outgoing> {
  const decision = { outcome, scope, resources, session_id: session.id, at: clock.now() };
  if (!(await requests.decide(handle, stored, decision))) throw requestGone();
  meter?.counter('authserver_consent_decisions_total', { decision: outcome }).add();
  await audit.record({
    action: `consent.${outcome}`,
    actor: `user:${session.user_id}`,
    user_id: session.user_id,
    client_id: stored.request.client_id,
    ip: source,
    detail: { scope, resources, session_id: session.id },
  });
  return resume(prefix, handle);
}

/** What was asked about now is answered anew; what was allowed before and not asked about again stays allowed. */
async function keepConsent(
  { consents, clock }: SignInDependencies,
  { stored, session, asked }: Question,
  ticked: Ticks,
): Promise<void> {
  const { client_id } = stored.request;
  const now = clock.now();
  const former = await consents.find({ user_id: session.user_id, client_id });
  const records = [...asked].map(([resource, tokens]) => {
    const before = former.find((consent) => consent.resource === resource);
    const kept = subtractScopes(before?.scope ?? '', formatScope(tokens));
    return {
      user_id: session.user_id,
      client_id,
      resource,
      scope: formatScope([...scopeTokens(kept), ...(ticked.get(resource) ?? [])]),
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
  const found = await resources.findAll(stored.request.resources);
  const asked = scopesByResource(stored.request.scope, found);
  return { handle, stored, session, client, resources: found, asked };
}

function consentPage(
  { pages, random }: SignInDependencies,
  request: Incoming,
  question: Question,
  { status, ticked, fault }: { status: number; ticked: Ticks; fault?: string },
): Outgoing {
  const { handle, stored, session, client } = question;
  const { token, cookies } = formTokens(request, random);
  const { redirect_uri } = stored.request;
  const frame = { title: `Give ${client.name} access?`, username: session.username };
  const content = {
    csrf: token(purpose(handle, session)),
    handle,
    client,
    host: hostInWords(redirect_uri),
    username: session.username,
    groups: scopeGroups(question, ticked),
    fault,
  };
  return page(status, pages.render('consent', frame, content), { cookies, leadsTo: redirect_uri });
}

/** What is asked for, the server's own first, then by resource. */
function scopeGroups({ stored, resources, asked }: Question, ticked: Ticks) {
  const owners = [{ uri: SERVER, name: null }, ...resources];
  return owners.flatMap((owner) => {
    const resource = resources.find(({ uri }) => uri === owner.uri);
    const scopes = (asked.get(owner.uri) ?? []).map((name) => ({
      value: tickValue(stored.request, owner.uri, name),
      description: describeScope(name, resource),
      fixed: name === 'openid',
      ticked: ticked.get(owner.uri)?.includes(name) ?? false,
    }));
    if (scopes.length > 0) return [{ uri: owner.uri, name: owner.name, scopes }];
    return resource ? [{ uri: resource.uri, name: resource.name, scopes: [WHOLE] }] : [];
  });
}

/** Bound to the session, so that a page shown to one user is never answered by another in the same browser. */
function purpose(handle: string, session: LiveSession): string {
  return `consent:${handle}:${session.id}`;
}
