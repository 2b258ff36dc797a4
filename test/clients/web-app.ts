// Owns an application that people sign in to: a real web server on 127.0.0.1 with openid-client behind it, which shows what
// it learned. Knows the issuer's address and nothing else of the product.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import * as oidc from 'openid-client';
import type { Stage } from './stage.ts';

interface Visit {
  readonly verifier: string;
  readonly state: string;
}

type Tokens = Awaited<ReturnType<typeof oidc.authorizationCodeGrant>>;

export class WebApp {
  readonly url: string;
  /** What the last visitor's sign-in brought. */
  tokens: Tokens | undefined;
  readonly #config: oidc.Configuration;
  readonly #close: () => Promise<void>;
  #visit: Visit | undefined;

  private constructor(url: string, config: oidc.Configuration, close: () => Promise<void>) {
    this.url = url;
    this.#config = config;
    this.#close = close;
  }

  /** Registers the application and opens it. */
  static async open({ operator, issuer }: Stage): Promise<WebApp> {
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      void app.#answer(request, response);
    const server = createServer(answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { client_id } = await operator.client({
      kind: 'public',
      client_name: 'Notes',
      redirect_uris: [`${url}/callback`],
      post_logout_redirect_uris: [`${url}/goodbye`],
    });
    const config = await oidc.discovery(new URL(issuer), client_id, undefined, oidc.None(), {
      execute: [oidc.allowInsecureRequests],
    });
    const app = new WebApp(url, config, async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return app;
  }

  /** Refreshes the visitor's tokens. */
  async refresh(): Promise<void> {
    this.tokens = await oidc.refreshTokenGrant(this.#config, this.tokens?.refresh_token ?? '');
  }

  /** Where the application sends a visitor who wants to leave. */
  get signOutUrl(): string {
    return oidc.buildEndSessionUrl(this.#config, {
      post_logout_redirect_uri: `${this.url}/goodbye`,
      id_token_hint: this.tokens?.id_token ?? '',
    }).href;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    try {
      if (pathname === '/signin') {
        const location = await this.#begin(Object.fromEntries(searchParams));
        response.writeHead(302, { location: location.href }).end();
      } else if (pathname === '/callback') {
        show(response, `Welcome, granted ${await this.#finish(request)}`);
      } else show(response, pathname === '/goodbye' ? 'Goodbye' : 'Notes');
    } catch (error) {
      show(response, `Failed: ${(error as { error?: string }).error ?? error}`);
    }
  }

  async #begin(more: Readonly<Record<string, string>>): Promise<URL> {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    this.#visit = { verifier, state };
    return oidc.buildAuthorizationUrl(this.#config, {
      redirect_uri: `${this.url}/callback`,
      scope: 'openid profile email',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      ...more,
    });
  }

  /** Answers the scope that was granted. */
  async #finish(request: IncomingMessage): Promise<string> {
    if (!this.#visit) throw new Error('nobody has begun to sign in');
    const { verifier, state } = this.#visit;
    const url = new URL(request.url ?? '', this.url);
    const isPost = request.method === 'POST';
    const body =
      isPost && new Request(url, { method: 'POST', body: new URLSearchParams(await text(request)) });
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    this.tokens = await oidc.authorizationCodeGrant(this.#config, body || url, checks);
    return this.tokens.scope?.split(' ').toSorted().join(' ') ?? 'nothing';
  }
}

function show(response: ServerResponse, heading: string): void {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
  response.end(
    `<!doctype html><html lang="en"><title>Notes</title><link rel="icon" href="data:,"><h1>${heading}</h1></html>`,
  );
}
