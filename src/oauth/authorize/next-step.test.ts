import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuthorizationRequest } from '../../flow/requests.ts';
import type { Session } from '../../identity/sessions.ts';
import type { Client } from '../../registry/clients.ts';
import type { ConsentRecord } from '../../store/records.ts';
import { type Facts, nextStep } from './next-step.ts';

const NOW = 1_000_000;

const request: AuthorizationRequest = {
  client_id: 'cli',
  redirect_uri: 'https://app.example/cb',
  response_mode: 'query',
  scope: 'openid profile',
  resources: ['https://issuer.example'],
  state: null,
  nonce: null,
  code_challenge: 'x'.repeat(43),
  prompt: [],
  max_age: null,
  login_hint: null,
  subject: null,
  claims_json: null,
};
const client = {
  id: 'cli',
  token_endpoint_auth_method: 'client_secret_basic',
  skip_consent: false,
} as Client;
const session = { id: 'ses', user_id: 'usr', auth_time: NOW - 60_000 } as Session;
const consent: ConsentRecord = {
  user_id: 'usr',
  client_id: 'cli',
  resource: '',
  scope: 'openid profile email',
  granted_at: 0,
  updated_at: 0,
};

function facts(
  changes: Partial<Omit<Facts, 'request'>> & { request?: Partial<AuthorizationRequest> } = {},
): Facts {
  return {
    client,
    resources: [],
    created_at: NOW,
    decision: null,
    session,
    consents: [consent],
    now: NOW,
    ...changes,
    request: { ...request, ...changes.request },
  };
}

describe('what a browser meets next', () => {
  test('signed in and consented: straight to the code', () => {
    expect(nextStep(facts())).toMatchObject({ to: 'code', scope: 'openid profile' });
  });

  test('nobody signed in: the sign-in page', () => {
    expect(nextStep(facts({ session: undefined })).to).toBe('sign-in');
  });

  test('consent that does not cover the scope: the consent page', () => {
    expect(nextStep(facts({ consents: [{ ...consent, scope: 'openid' }] })).to).toBe('consent');
    expect(nextStep(facts({ consents: [] })).to).toBe('consent');
  });

  test('a scope of a resource is covered by consent for that resource only', () => {
    const resource = { uri: 'https://api.example', scopes: [{ name: 'read', description: '' }] } as never;
    const asked = {
      request: { scope: 'openid read', resources: ['https://api.example'] },
      resources: [resource],
    };
    expect(nextStep(facts({ ...asked, consents: [{ ...consent, scope: 'openid read' }] })).to).toBe(
      'consent',
    );
    const both = [consent, { ...consent, resource: 'https://api.example', scope: 'read' }];
    expect(nextStep(facts({ ...asked, consents: both })).to).toBe('code');
  });

  test('a first-party client is not asked about, unless it asks to be', () => {
    const firstParty = { ...client, skip_consent: true };
    expect(nextStep(facts({ client: firstParty, consents: [] })).to).toBe('code');
    expect(nextStep(facts({ client: firstParty, request: { prompt: ['consent'] } })).to).toBe('consent');
  });

  test('a public client on a loopback address is asked about each time (RFC 8252 section 8.6)', () => {
    const native = { ...client, token_endpoint_auth_method: 'none' } as Client;
    expect(
      nextStep(facts({ client: native, request: { redirect_uri: 'http://127.0.0.1:1234/cb' } })).to,
    ).toBe('consent');
    expect(nextStep(facts({ client: native })).to).toBe('code');
  });

  test.each(['login', 'select_account'])('prompt=%s wants a sign-in made since the request', (prompt) => {
    expect(nextStep(facts({ request: { prompt: [prompt] } })).to).toBe('sign-in');
    expect(
      nextStep(facts({ request: { prompt: [prompt] }, session: { ...session, auth_time: NOW } })).to,
    ).toBe('code');
  });

  test('max_age counts from the sign-in, and a fresh sign-in satisfies even max_age=0', () => {
    expect(nextStep(facts({ request: { max_age: 61 } })).to).toBe('code');
    expect(nextStep(facts({ request: { max_age: 60 } })).to).toBe('sign-in');
    expect(
      nextStep(
        facts({ request: { max_age: 0 }, session: { ...session, auth_time: NOW + 1 }, now: NOW + 5000 }),
      ).to,
    ).toBe('code');
  });

  test('an id_token_hint for another user: sign in, and if it is another one again, login_required', () => {
    expect(nextStep(facts({ request: { subject: 'else' } })).to).toBe('sign-in');
    const fresh = { ...session, auth_time: NOW };
    expect(nextStep(facts({ request: { subject: 'else' }, session: fresh }))).toMatchObject({
      error: 'login_required',
    });
    expect(nextStep(facts({ request: { subject: 'usr' } })).to).toBe('code');
  });

  test('a decision counts for the session that made it, with the scope that it left', () => {
    const granted = { outcome: 'granted', scope: 'openid', resources: request.resources } as const;
    const decision = { ...granted, session_id: 'ses', at: NOW };
    expect(nextStep(facts({ decision, consents: [] }))).toMatchObject({ to: 'code', scope: 'openid' });
    expect(nextStep(facts({ decision: { ...decision, session_id: 'other' }, consents: [] })).to).toBe(
      'consent',
    );
    const denied = { ...decision, outcome: 'denied' } as const;
    expect(nextStep(facts({ decision: denied }))).toMatchObject({ to: 'error', error: 'access_denied' });
  });

  test('prompt=none never shows a page, and never gives a code without session and consent', () => {
    const maybe = <T>(value: T) => fc.option(fc.constant(value), { nil: undefined });
    fc.assert(
      fc.property(
        maybe(session),
        fc.subarray([consent]),
        fc.boolean(),
        fc.option(fc.integer({ min: 0, max: 120 }), { nil: null }),
        fc.option(fc.constantFrom('usr', 'else'), { nil: null }),
        (found, consents, skip_consent, max_age, subject) => {
          const asked = { prompt: ['none'], max_age, subject };
          const step = nextStep(
            facts({ session: found, consents, client: { ...client, skip_consent }, request: asked }),
          );
          expect(['code', 'error']).toContain(step.to);
          if (step.to !== 'code') return;
          expect(found).toBeDefined();
          expect(consents.length === 1 || skip_consent).toBe(true);
          expect(subject === null || subject === 'usr').toBe(true);
          expect(max_age === null || max_age > 60).toBe(true);
        },
      ),
    );
  });
});
