// The TypeScript SDK of the Model Context Protocol as the client: from a protected server that it has never heard of to
// a token for that server and no other.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { auth, type OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { expect, it } from 'vitest';
import { describeEngines } from '../setup/engines.ts';
import { Stage } from './stage.ts';

const REDIRECT = 'http://127.0.0.1:8765/callback';
const PATHS = [{ issuerPath: '' }, { issuerPath: '/auth' }];

describeEngines('the MCP client', (engine) => {
  it.for(PATHS)('finds its way to an issuer with the path "$issuerPath"', async ({ issuerPath }) => {
    await using stage = await Stage.open(engine, { issuerPath, env: { AUTHSERVER_DCR_MODE: 'open' } });
    await using tools = await ToolServer.open(stage.issuer);
    await stage.operator.resource(tools.url, ['tools:call']);
    const provider = new Provider();
    const serverUrl = tools.url;

    const first = await fetch(serverUrl, { method: 'POST' });
    expect(first.status).toBe(401);
    expect(await auth(provider, { serverUrl })).toBe('REDIRECT');
    expect(provider.client?.client_id).toEqual(expect.any(String));
    expect(provider.address?.searchParams.get('resource')).toBe(serverUrl);
    expect(provider.address?.searchParams.get('code_challenge_method')).toBe('S256');

    const { answer } = await stage.alice().authorize(provider.address ?? '');
    expect(answer.get('iss')).toBe(stage.issuer);
    const authorizationCode = answer.get('code') ?? '';
    expect(await auth(provider, { serverUrl, authorizationCode })).toBe('AUTHORIZED');
    expect((await tools.call(provider)).status).toBe(200);

    const claims = await tools.claims(provider);
    expect(claims).toMatchObject({ iss: stage.issuer, aud: serverUrl, sub: stage.sub, scope: 'tools:call' });

    const spent = provider.saved?.refresh_token;
    expect(spent).toEqual(expect.any(String));
    expect(await auth(provider, { serverUrl })).toBe('AUTHORIZED');
    expect(provider.saved?.refresh_token).not.toBe(spent);
    expect((await tools.call(provider)).status).toBe(200);

    // A token for this resource opens nothing else, the issuer's own endpoints included.
    const headers = { authorization: `Bearer ${provider.saved?.access_token}` };
    expect((await fetch(`${stage.issuer}/oauth/userinfo`, { headers })).status).toBe(401);
  });
});

/** What a host application keeps for the SDK. */
class Provider implements OAuthClientProvider {
  client: OAuthClientInformationMixed | undefined;
  saved: OAuthTokens | undefined;
  /** Where the SDK sends the browser. */
  address: URL | undefined;
  #verifier = '';

  get redirectUrl(): string {
    return REDIRECT;
  }

  get clientMetadata(): OAuthClientMetadata {
    return {
      client_name: 'An MCP client',
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  clientInformation(): OAuthClientInformationMixed | undefined {
    return this.client;
  }

  saveClientInformation(client: OAuthClientInformationMixed): void {
    this.client = client;
  }

  tokens(): OAuthTokens | undefined {
    return this.saved;
  }

  saveTokens(tokens: OAuthTokens): void {
    this.saved = tokens;
  }

  redirectToAuthorization(address: URL): void {
    this.address = address;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }
}

/** A protected resource: says who guards it (RFC 9728), and lets nobody in without a token made for it. */
class ToolServer {
  readonly url: string;
  readonly #issuer: string;
  readonly #close: () => Promise<void>;

  private constructor(url: string, issuer: string, close: () => Promise<void>) {
    this.url = url;
    this.#issuer = issuer;
    this.#close = close;
  }

  static async open(issuer: string): Promise<ToolServer> {
    const server = createServer((request, response) => void tools.#serve(request, response)).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    const close = async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
    const tools = new ToolServer(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
      issuer,
      close,
    );
    return tools;
  }

  call({ saved }: Provider): Promise<Response> {
    return fetch(this.url, { method: 'POST', headers: { authorization: `Bearer ${saved?.access_token}` } });
  }

  /** What the token says, once it is proven. */
  async claims({ saved }: Provider) {
    return this.#verify(saved?.access_token ?? '');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  async #serve({ url = '', headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (url === '/.well-known/oauth-protected-resource/mcp') {
      const metadata = {
        resource: this.url,
        authorization_servers: [this.#issuer],
        scopes_supported: ['tools:call'],
        bearer_methods_supported: ['header'],
      };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(metadata));
      return;
    }
    const token = headers.authorization?.replace(/^Bearer /, '') ?? '';
    const isGood = await this.#verify(token).then(
      () => true,
      () => false,
    );
    const metadataUrl = new URL('/.well-known/oauth-protected-resource/mcp', this.url);
    if (isGood) response.writeHead(200).end();
    else response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadataUrl}"` }).end();
  }

  async #verify(token: string) {
    const keys = createRemoteJWKSet(new URL(`${this.#issuer}/.well-known/jwks.json`));
    const options = { issuer: this.#issuer, audience: this.url, typ: 'at+jwt' };
    return (await jwtVerify(token, keys, options)).payload;
  }
}
