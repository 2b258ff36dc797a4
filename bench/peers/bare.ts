/**
 * The floor: a bare node:http server that parses the same forms and signs the same tokens by the product's own signer, but
 * checks nothing and keeps nothing. What separates the product from it is the price of being a server that may be trusted.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { JwsSigner, localSignature, parseJws, verifySignature } from '../../src/keys/jws.ts';
import { bench } from '../scenarios.ts';
import { announce, listenOnFreePort } from './listen.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicKey = createPublicKey(privateKey);
const signer = new JwsSigner('bench', 'ES256', localSignature('ES256', privateKey));

const server = createServer();
const url = await listenOnFreePort(server);

const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' };
const jwks = JSON.stringify({ keys: [jwk] });
const metadata = JSON.stringify({
  issuer: url,
  authorization_endpoint: `${url}/authorize`,
  token_endpoint: `${url}/token`,
  introspection_endpoint: `${url}/introspect`,
  jwks_uri: `${url}/jwks`,
});

server.on('request', async (request, response) => {
  const [path = '', query] = (request.url ?? '').split('?', 2);
  switch (path) {
    case '/token':
      return answer(response, JSON.stringify(await tokens(await readForm(request))));
    case '/introspect':
      return answer(response, JSON.stringify(await introspect(await readForm(request))));
    case '/authorize':
      return sendBack(response, new URLSearchParams(query));
    case '/jwks':
      return answer(response, jwks);
    default:
      return answer(response, metadata);
  }
});
announce(url);

async function tokens(form: URLSearchParams) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: url, sub: bench.username, iat: now, exp: now + 900 };
  const access_token = await signer.sign('at+jwt', {
    ...claims,
    aud: form.get('resource') ?? bench.resource,
    client_id: form.get('client_id'),
    scope: bench.scope,
    jti: randomUUID(),
  });
  const answer = { access_token, token_type: 'Bearer', expires_in: 900, scope: bench.scope };
  if (form.get('grant_type') === 'client_credentials') return answer;
  const id_token = await signer.sign('JWT', { ...claims, aud: form.get('client_id'), auth_time: now });
  return { ...answer, id_token, refresh_token: randomBytes(32).toString('base64url') };
}

async function introspect(form: URLSearchParams) {
  const jws = parseJws(form.get('token') ?? '');
  const active = jws !== undefined && (await verifySignature(jws, 'ES256', publicKey));
  return { active, ...jws?.claims };
}

function sendBack(response: ServerResponse, query: URLSearchParams): void {
  const location = new URL(query.get('redirect_uri') ?? url);
  location.searchParams.set('code', randomBytes(32).toString('base64url'));
  location.searchParams.set('state', query.get('state') ?? '');
  response.writeHead(303, { location: location.href, 'content-length': 0 }).end();
}

function answer(response: ServerResponse, body: string): void {
  response
    .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    .end(body);
}

function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  return new Promise((resolve) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('end', () => resolve(new URLSearchParams(text)));
  });
}
