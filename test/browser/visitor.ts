// Owns a browser for tests that need none: it keeps cookies, reads forms out of pages and sends them back.

import type { FastifyInstance } from 'fastify';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | number | undefined>>;
  readonly body: string;
  readonly location: string | undefined;
}

export class Visitor {
  readonly cookies = new Map<string, string>();
  readonly #app: FastifyInstance;
  readonly #address: string;

  constructor(app: FastifyInstance, address = '127.0.0.1') {
    this.#app = app;
    this.#address = address;
  }

  get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.#send({ method: 'GET', url, headers });
  }

  post(url: string, fields: Readonly<Record<string, string | readonly string[]>>): Promise<Answer> {
    const body = new URLSearchParams();
    for (const [name, values] of Object.entries(fields)) {
      for (const value of [values].flat()) body.append(name, value);
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return this.#send({ method: 'POST', url, headers, payload: body.toString() });
  }

  /** Opens a page and sends its first form back with these fields over its hidden ones. */
  async fill(url: string, fields: Readonly<Record<string, string | readonly string[]>>): Promise<Answer> {
    const { body } = await this.get(url);
    return this.submit(body, fields);
  }

  /** Sends a form of a page: the first one whose action ends so, with its hidden fields. */
  submit(
    html: string,
    fields: Readonly<Record<string, string | readonly string[]>>,
    actionEnd = '',
  ): Promise<Answer> {
    const form = formsOf(html).find(({ action }) => action.endsWith(actionEnd));
    if (!form) throw new Error(`no form with an action that ends in "${actionEnd}" in:\n${html}`);
    return this.post(form.action, { ...form.hidden, ...fields });
  }

  async #send(request: {
    method: 'GET' | 'POST';
    url: string;
    headers: object;
    payload?: string;
  }): Promise<Answer> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await this.#app.inject({
      ...request,
      remoteAddress: this.#address,
      headers: { 'user-agent': 'Visitor', ...request.headers, ...(cookie && { cookie }) },
    });
    for (const { name, value, maxAge } of response.cookies) {
      if (maxAge === 0) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return {
      status: response.statusCode,
      headers: response.headers,
      body: response.body,
      location: response.headers.location,
    };
  }
}

function formsOf(html: string): readonly { action: string; hidden: Record<string, string> }[] {
  return [...html.matchAll(/<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/gs)].map(
    ([, action = '', inside = '']) => ({
      action,
      hidden: Object.fromEntries(
        [...inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)].map(
          ([, name = '', value = '']) => [name, value],
        ),
      ),
    }),
  );
}
