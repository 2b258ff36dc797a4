// Owns the operator of a served product: seeds users, clients and resources over its admin API.

import type { TestServer } from '../setup/server.ts';
import type { Account } from './person.ts';

/** An answer of the admin API that was not 2xx. */
export class AdminRefusal extends Error {
  readonly status: number;

  constructor(status: number, text: string) {
    super(`The admin API answered ${status}: ${text}`);
    this.status = status;
  }
}

export class Operator {
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async call(method: string, path: string, body?: unknown): Promise<any> {
    const response = await fetch(`${this.#server.adminUrl}/admin${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#server.adminApiKey}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new AdminRefusal(response.status, text);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** A new user; `profile` holds further claims. */
  async user(account: Account, profile: Readonly<Record<string, string>> = {}): Promise<{ id: string }> {
    const email = `${account.username}@example.com`;
    return this.call('POST', '/users', { ...account, email, email_verified: true, profile });
  }

  /** A new client by its metadata (RFC 7591). */
  client(
    metadata: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly client_id: string; readonly client_secret?: string }> {
    return this.call('POST', '/clients', metadata);
  }

  /** A new resource with these scopes. */
  resource(uri: string, scopes: readonly string[]): Promise<{ readonly id: string }> {
    const catalogue = scopes.map((name) => ({ name, description: `May ${name}` }));
    return this.call('POST', '/resources', { uri, name: 'An API', scopes: catalogue });
  }
}
