// The npm package openid-client as the relying party, for each way in which a client can prove itself.

import { exportJWK, generateKeyPair } from 'jose';
import * as oidc from 'openid-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngines } from '../setup/engines.ts';
import { API, CALLBACK, SECRET, SIGNED_OUT, Stage } from './stage.ts';

interface Method {
  readonly name: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly auth: oidc.ClientAuth;
}

const keys = await generateKeyPair('ES256');

const METHODS: readonly Method[] = [
  { name: 'none', metadata: { kind: 'public', application_type: 'web' }, auth: oidc.None() },
  { name: 'client_secret_basic', metadata: { client_secret: SECRET }, auth: oidc.ClientSecretBasic(SECRET) },
  { name: 'client_secret_post', metadata: { client_secret: SECRET }, auth: oidc.ClientSecretPost(SECRET) },
  {
    name: 'private_key_jwt',
    metadata: { jwks: { keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'key-1', alg: 'ES256' }] } },
    auth: oidc.PrivateKeyJwt({ key: keys.privateKey, kid: 'key-1' }),
  },
];

describeEngines('openid-client', (engine) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(engine);
  });
  afterAll(() => stage?.[Symbol.asyncDispose]());

  async function configure(method: Method, more: Readonly<Record<string, unknown>> = {}) {
    const { client_id } = await stage.operator.client({
      redirect_uris: [CALLBACK],
      post_logout_redirect_uris: [SIGNED_OUT],
      ...method.metadata,
      token_endpoint_auth_method: method.name,
      ...more,
    });
    return oidc.discovery(new URL(stage.issuer), client_id, undefined, method.auth, {
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
    });
  }

  it.for(METHODS)('signs Alice in and out with $name', async (method) => {
    const config = await configure(method);
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const nonce = oidc.randomNonce();
    const alice = stage.alice();
    const { url } = await alice.authorize(
      oidc.buildAuthorizationUrl(config, {
        redirect_uri: CALLBACK,
        scope: 'openid profile email read',
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
        max_age: '600',
      }),
    );

    const tokens = await oidc.authorizationCodeGrant(config, url, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      maxAge: 600,
      idTokenExpected: true,
    });
    expect(tokens.claims()).toMatchObject({ iss: stage.issuer, sub: stage.sub, amr: ['pwd'] });
    expect(tokens.scope?.split(' ').toSorted()).toEqual(['email', 'openid', 'profile', 'read']);

    const user = await oidc.fetchUserInfo(config, tokens.access_token, stage.sub);
    expect(user).toMatchObject({ name: 'Alice Example', email: 'alice@example.com', email_verified: true });

    const fresh = await oidc.refreshTokenGrant(config, tokens.refresh_token ?? '');
    expect(fresh.claims()).toMatchObject({ sub: stage.sub });
    expect(fresh.refresh_token).not.toBe(tokens.refresh_token);

    await oidc.tokenRevocation(config, fresh.refresh_token ?? '');
    const refused = oidc.refreshTokenGrant(config, fresh.refresh_token ?? '');
    await expect(refused).rejects.toMatchObject({ error: 'invalid_grant', status: 400 });
    const rejected = oidc.fetchUserInfo(config, fresh.access_token, stage.sub);
    await expect(rejected).rejects.toMatchObject({ status: 401 });

    const end = oidc.buildEndSessionUrl(config, {
      post_logout_redirect_uri: SIGNED_OUT,
      id_token_hint: fresh.id_token ?? '',
      state,
    });
    const farewell = await alice.open(end);
    expect(farewell.next?.href).toBe(`${SIGNED_OUT}?state=${state}`);
    expect((await alice.open(`${stage.issuer}/account`)).next?.pathname).toBe('/signin');
  });

  it.for(METHODS.slice(1))('introspects with $name', async (method) => {
    const config = await configure(method, { kind: 'service' });
    const { access_token } = await oidc.clientCredentialsGrant(config);
    const { client_id } = config.clientMetadata();
    const seen = await oidc.tokenIntrospection(config, access_token);
    expect(seen).toMatchObject({ active: true, client_id, sub: client_id, iss: stage.issuer });
    await oidc.tokenRevocation(config, access_token);
    expect(await oidc.tokenIntrospection(config, access_token)).toEqual({ active: false });
  });

  it.for(METHODS.slice(1))('acts for itself at a resource with $name', async (method) => {
    const config = await configure(method, { kind: 'service', scope: 'read write' });
    const tokens = await oidc.clientCredentialsGrant(config, { scope: 'read', resource: API });
    expect(tokens).toMatchObject({ scope: 'read', token_type: 'bearer' });
    expect(tokens.refresh_token).toBeUndefined();
  });

  it('reads an answer that comes as a form', async () => {
    const config = await configure(METHODS[1]!);
    const verifier = oidc.randomPKCECodeVerifier();
    const { url, answer } = await stage.alice().authorize(
      oidc.buildAuthorizationUrl(config, {
        redirect_uri: CALLBACK,
        scope: 'openid',
        response_mode: 'form_post',
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }),
    );
    const posted = new Request(url, { method: 'POST', body: answer });
    const tokens = await oidc.authorizationCodeGrant(config, posted, { pkceCodeVerifier: verifier });
    expect(tokens.claims()?.sub).toBe(stage.sub);
  });

  it('learns that Alice declined, or granted less than it asked for', async () => {
    const config = await configure(METHODS[0]!);
    const verifier = oidc.randomPKCECodeVerifier();
    const ask = oidc.buildAuthorizationUrl(config, {
      redirect_uri: CALLBACK,
      scope: 'openid email write',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const denied = await stage.alice().authorize(ask, { decision: 'deny' });
    await expect(
      oidc.authorizationCodeGrant(config, denied.url, { pkceCodeVerifier: verifier }),
    ).rejects.toMatchObject({ error: 'access_denied' });

    const { url } = await stage.alice().authorize(ask, { untick: ['write'] });
    const tokens = await oidc.authorizationCodeGrant(config, url, { pkceCodeVerifier: verifier });
    expect(tokens.scope?.split(' ').toSorted()).toEqual(['email', 'openid']);
  });
});
