/**
 * The peer: npm oidc-provider with the in-memory adapter it comes with, set up to do the same work. Prints a ready line like
 * the product's.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import { bench } from '../scenarios.ts';
import { announce, listenOnFreePort } from './listen.ts';

const server = createServer();
const url = await listenOnFreePort(server);
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const provider = new Provider(url, {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  clients: [
    {
      client_id: bench.client_id,
      client_secret: bench.client_secret,
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types: ['code'],
      redirect_uris: [bench.redirect_uri],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  scopes: ['openid', bench.scope],
  cookies: { keys: ['a key of the bench to sign cookies with'] },
  ttl: {
    AccessToken: 900,
    ClientCredentials: 3600,
    IdToken: 900,
    RefreshToken: 604_800,
    Grant: 604_800,
    Session: 86_400,
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  expiresWithSession: () => false,
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  loadExistingGrant: rememberedGrant,
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience: bench.resource,
        scope: bench.scope,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

/** Consent was given once and is remembered, as for the product's client that skips it. */
async function rememberedGrant({ oidc }: KoaContextWithOIDC) {
  const { client, session, account } = oidc;
  if (!client || !session || !account) return undefined;
  const known = session.grantIdFor(client.clientId);
  if (known) return oidc.provider.Grant.find(known);
  const grant = new oidc.provider.Grant({ clientId: client.clientId, accountId: account.accountId });
  grant.addOIDCScope(`openid ${bench.scope}`);
  grant.addResourceScope(bench.resource, bench.scope);
  await grant.save();
  return grant;
}

const serve = provider.callback();
server.on('request', (request, response) => {
  // Stands for the sign-in page: whoever comes is signed in.
  if (request.url?.startsWith('/interaction/')) {
    void provider.interactionFinished(request, response, { login: { accountId: bench.username } });
  } else {
    serve(request, response);
  }
});
announce(url);
