// The npm package oauth4webapi, which leaves every step to its user and checks every answer against the RFCs.

import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngines } from '../setup/engines.ts';
import { API, CALLBACK, SECRET, Stage } from './stage.ts';

const insecure = { [oauth.allowInsecureRequests]: true } as const;
const PATHS = [{ issuerPath: '' }, { issuerPath: '/auth' }];

describeEngines('oauth4webapi', (engine) => {
  it.for(PATHS)('discovers an issuer with the path "$issuerPath" in both ways', async ({ issuerPath }) => {
    await using stage = await Stage.open(engine, { issuerPath });
    const issuer = new URL(stage.issuer);
    const found = [];
    for (const algorithm of ['oidc', 'oauth2'] as const) {
      const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure });
      found.push(await oauth.processDiscoveryResponse(issuer, response));
    }
    expect(found[0]).toEqual(found[1]);
    expect(found[0]).toMatchObject({
      issuer: stage.issuer,
      authorization_response_iss_parameter_supported: true,
    });
  });
});

describeEngines('oauth4webapi with an issuer', (engine) => {
  let stage: Stage;
  let as: oauth.AuthorizationServer;
  beforeAll(async () => {
    stage = await Stage.open(engine, { env: { AUTHSERVER_DCR_MODE: 'open' } });
    const issuer = new URL(stage.issuer);
    as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure));
  });
  afterAll(() => stage?.[Symbol.asyncDispose]());

  async function newClient(more: Readonly<Record<string, unknown>> = {}): Promise<oauth.Client> {
    const { client_id } = await stage.operator.client({
      redirect_uris: [CALLBACK],
      client_secret: SECRET,
      ...more,
    });
    return { client_id };
  }

  async function askUrl(client: oauth.Client, verifier: string, more: Readonly<Record<string, string>> = {}) {
    const url = new URL(as.authorization_endpoint ?? '');
    const parameters = {
      client_id: client.client_id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'openid email',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...more,
    };
    url.search = new URLSearchParams(parameters).toString();
    return url;
  }

  it('gets through the code flow by hand, with the issuer in the answer (RFC 9207)', async () => {
    const client = await newClient();
    const auth = oauth.ClientSecretBasic(SECRET);
    const verifier = oauth.generateRandomCodeVerifier();
    const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
    const { url } = await stage.alice().authorize(await askUrl(client, verifier, { state, nonce }));
    const parameters = oauth.validateAuthResponse(as, client, url, state);

    const impostor = new URL(url);
    impostor.searchParams.set('iss', 'https://other.example');
    expect(() => oauth.validateAuthResponse(as, client, impostor, state)).toThrow(/iss/);

    const response = await oauth.authorizationCodeGrantRequest(
      as,
      client,
      auth,
      parameters,
      CALLBACK,
      verifier,
      insecure,
    );
    const result = await oauth.processAuthorizationCodeResponse(as, client, response, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    const claims = oauth.getValidatedIdTokenClaims(result);
    expect(claims).toMatchObject({ sub: stage.sub, aud: client.client_id });
    await oauth.validateApplicationLevelSignature(as, response, insecure);

    const userInfo = await oauth.userInfoRequest(as, client, result.access_token, insecure);
    expect(await oauth.processUserInfoResponse(as, client, stage.sub, userInfo)).toMatchObject({
      email: 'alice@example.com',
    });

    const again = await oauth.refreshTokenGrantRequest(
      as,
      client,
      auth,
      result.refresh_token ?? '',
      insecure,
    );
    const refreshed = await oauth.processRefreshTokenResponse(as, client, again);
    const seen = await oauth.introspectionRequest(as, client, auth, refreshed.access_token, insecure);
    expect(await oauth.processIntrospectionResponse(as, client, seen)).toMatchObject({ active: true });
    const revoked = await oauth.revocationRequest(as, client, auth, refreshed.access_token, insecure);
    await oauth.processRevocationResponse(revoked);
    const gone = await oauth.introspectionRequest(as, client, auth, refreshed.access_token, insecure);
    expect(await oauth.processIntrospectionResponse(as, client, gone)).toEqual({ active: false });
  });

  it('reads an error with the issuer in it, too', async () => {
    const client = await newClient();
    const state = oauth.generateRandomState();
    const verifier = oauth.generateRandomCodeVerifier();
    const { url } = await stage.alice().authorize(await askUrl(client, verifier, { state, prompt: 'none' }));
    expect(() => oauth.validateAuthResponse(as, client, url, state)).toThrow(
      expect.objectContaining({ error: 'login_required' }),
    );
    expect(url.searchParams.get('iss')).toBe(stage.issuer);
  });

  it('accepts an access token as a resource server (RFC 9068), at the resource it is for only', async () => {
    const client = await newClient({ kind: 'service', scope: 'read' });
    const parameters = { scope: 'read', resource: API };
    const auth = oauth.ClientSecretBasic(SECRET);
    const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, insecure);
    const { access_token } = await oauth.processClientCredentialsResponse(as, client, response);
    const request = () => new Request(API, { headers: { authorization: `Bearer ${access_token}` } });
    const claims = await oauth.validateJwtAccessToken(as, request(), API, insecure);
    expect(claims).toMatchObject({ client_id: client.client_id, sub: client.client_id, scope: 'read' });
    const elsewhere = oauth.validateJwtAccessToken(as, request(), 'https://other.example', insecure);
    await expect(elsewhere).rejects.toThrow(/aud/);
  });

  it('registers itself (RFC 7591) and signs Alice in', async () => {
    const metadata = { redirect_uris: [CALLBACK], client_name: 'By itself', scope: 'openid email' };
    const response = await oauth.dynamicClientRegistrationRequest(as, metadata, insecure);
    const client = await oauth.processDynamicClientRegistrationResponse(response);
    const verifier = oauth.generateRandomCodeVerifier();
    const { url } = await stage.alice().authorize(await askUrl(client, verifier));
    const parameters = oauth.validateAuthResponse(as, client, url, oauth.expectNoState);
    const auth = oauth.ClientSecretBasic(String(client.client_secret));
    const tokens = await oauth.authorizationCodeGrantRequest(
      as,
      client,
      auth,
      parameters,
      CALLBACK,
      verifier,
      insecure,
    );
    const result = await oauth.processAuthorizationCodeResponse(as, client, tokens);
    expect(oauth.getValidatedIdTokenClaims(result)?.sub).toBe(stage.sub);
  });
});
