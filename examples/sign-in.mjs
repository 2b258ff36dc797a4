// A small OpenID Connect client: opens a sign-in in your browser, waits for the answer on a loopback port, redeems the code
// with PKCE, and verifies the ID token against the server's published keys. Run: node examples/sign-in.mjs [issuer] [client_id]
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const [issuer = 'http://localhost:9000', clientId = 'tour'] = process.argv.slice(2);

const metadata = await fetchJson(`${issuer}/.well-known/openid-configuration`);
const listener = createServer().listen(0, '127.0.0.1');
await once(listener, 'listening');
const redirectUri = `http://127.0.0.1:${listener.address().port}/callback`;

const [state, nonce, verifier] = [random(), random(), random()];
const authorize = new URL(metadata.authorization_endpoint);
authorize.search = new URLSearchParams({
  client_id: clientId,
  redirect_uri: redirectUri,
  response_type: 'code',
  scope: 'openid profile email',
  state,
  nonce,
  code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  code_challenge_method: 'S256',
}).toString();
console.log(`Open this address in your browser:\n\n  ${authorize.href}\n`);

const answer = await nextCallback(listener);
if (answer.get('state') !== state || answer.get('iss') !== issuer)
  throw new Error('This is not the answer to our question.');
if (!answer.has('code')) throw new Error(`${answer.get('error')}: ${answer.get('error_description')}`);

const tokens = await fetchJson(metadata.token_endpoint, {
  method: 'POST',
  body: new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: clientId,
    code: answer.get('code'),
    redirect_uri: redirectUri,
    code_verifier: verifier,
  }),
});
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
const { payload } = await jwtVerify(tokens.id_token, keys, { issuer, audience: clientId });
if (payload.nonce !== nonce) throw new Error('The ID token answers another request.');
const person = await fetchJson(metadata.userinfo_endpoint, {
  headers: { authorization: `Bearer ${tokens.access_token}` },
});

console.log('The ID token is verified. It says:', payload);
console.log('UserInfo says:', person);

function random() {
  return randomBytes(32).toString('base64url');
}

async function fetchJson(url, init) {
  const response = await fetch(url, init);
  const body = await response.json();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${JSON.stringify(body)}`);
  return body;
}

/** The query of the one request that we wait for; the browser is told that it can be closed. */
async function nextCallback(server) {
  for (;;) {
    const [request, response] = await once(server, 'request');
    const url = new URL(request.url, redirectUri);
    response.writeHead(url.pathname === '/callback' ? 200 : 404, {
      'content-type': 'text/plain',
      connection: 'close',
    });
    response.end('You can close this window and look at the terminal.\n');
    if (url.pathname !== '/callback') continue;
    server.close();
    return url.searchParams;
  }
}
