/** A person's browser and an application's HTTP, as far as a trial needs them: one host, over a socket in the file system. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { Failure } from '../../kernel/errors.ts';

// Importing node:http instead would also load what stands behind its re-exports: fetch, which nobody uses here.
const { request: httpRequest } = process.getBuiltinModule('node:http');

export type Fields = Readonly<Record<string, string | readonly string[]>>;

export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly body: string;
  /** Where it redirects to. */
  readonly location: URL | undefined;
}

interface Call {
  readonly form?: Fields;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A server that runs for nobody answers at once; so long is ten times what is usual on a bad day, ms. */
const PATIENCE = 20_000;
/** Longer than any way through our pages. */
const MOST_HOPS = 10;

/** Keeps cookies; follows redirects while they stay on the host of the issuer. */
export class TrialBrowser {
  readonly #socket: string;
  readonly #issuer: URL;
  readonly #signal: AbortSignal;
  readonly #cookies = new Map<string, string>();

  /** @param issuer whose addresses are reached by the socket */
  constructor(socket: string, issuer: string, signal: AbortSignal) {
    this.#socket = socket;
    this.#issuer = new URL(issuer);
    this.#signal = signal;
  }

  /** The same browser, cookies and all, after its server has come to listen on another socket. */
  moved(socket: string): TrialBrowser {
    const moved = new TrialBrowser(socket, this.#issuer.href, this.#signal);
    for (const [name, value] of this.#cookies) moved.#cookies.set(name, value);
    return moved;
  }

  /** Opens an address and follows where it leads: to a page, or to an address of another host, which is not opened. */
  async open(url: string | URL, form?: Fields): Promise<Page> {
    let page = await this.call(url, form === undefined ? {} : { form });
    for (let hop = 0; page.location !== undefined; hop++) {
      if (hop === MOST_HOPS) throw new Failure('failed', 'The redirects of the pages do not end.');
      if (page.location.host !== this.#issuer.host) return page;
      page = await this.call(page.location);
    }
    return page;
  }

  /** Sends the first form of a page back, with these fields over the ones that are filled in already. */
  submit(page: Page, fields: Fields): Promise<Page> {
    const [, action, inside = ''] =
      /<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/s.exec(page.body) ?? [];
    if (action === undefined) {
      throw new Failure(
        'failed',
        `The page ${page.url.pathname} has no form to send back (status ${page.status}).`,
      );
    }
    return this.open(new URL(unescaped(action), page.url), { ...filledIn(inside), ...fields });
  }

  /** One request and its answer, as an application makes it. Failures: `interrupted`, `unavailable`; `failed` without an answer. */
  async call(address: string | URL, { form, headers }: Call = {}): Promise<Page> {
    const url = new URL(address, this.#issuer);
    const body = form && encoded(form);
    const answer = await this.#send(url, body, {
      host: url.host,
      ...(this.#cookies.size > 0 && { cookie: this.#cookieHeader() }),
      ...(body !== undefined && {
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': String(Buffer.byteLength(body)),
      }),
      ...headers,
    });
    for (const line of answer.headers['set-cookie'] ?? []) this.#keep(line);
    const { location } = answer.headers;
    return {
      url,
      status: answer.statusCode ?? 0,
      body: await readText(answer),
      location: location === undefined ? undefined : new URL(location, url),
    };
  }

  async #send(
    url: URL,
    body: string | undefined,
    headers: Readonly<Record<string, string>>,
  ): Promise<IncomingMessage> {
    const late = AbortSignal.timeout(PATIENCE);
    const signal = AbortSignal.any([this.#signal, late]);
    const sent = httpRequest({
      socketPath: this.#socket,
      method: body === undefined ? 'GET' : 'POST',
      path: `${url.pathname}${url.search}`,
      headers,
      agent: false,
      signal,
    });
    sent.end(body);
    try {
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      return response;
    } catch (cause) {
      if (this.#signal.aborted) throw new Failure('interrupted', 'The trial was cancelled.', { cause });
      // A machine that is too busy says nothing about the backup.
      if (late.aborted) throw tooSlow(url, cause);
      throw new Failure('failed', `The server did not answer ${url.pathname}.`, { cause });
    }
  }

  #cookieHeader(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/max-age=0\b/i.test(line)) this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }
}

function tooSlow({ pathname }: URL, cause: unknown): Failure {
  return new Failure(
    'unavailable',
    `The server of the trial did not answer ${pathname} within ${PATIENCE} ms.`,
    {
      hint: 'This machine is too busy to try a backup now. Run it again later.',
      cause,
    },
  );
}

/** What a form sends when nobody touches it. */
function filledIn(form: string): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const [input] of form.matchAll(/<input [^>]*>/g)) {
    const name = / name="([^"]*)"/.exec(input)?.[1];
    const isOff = input.includes('type="checkbox"') && !input.includes(' checked');
    if (name === undefined || isOff) continue;
    const value = / value="([^"]*)"/.exec(input)?.[1] ?? '';
    fields[name] = [...(fields[name] ?? []), unescaped(value)];
  }
  return fields;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
};

function unescaped(text: string): string {
  return text.replace(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity] ?? entity);
}

function encoded(fields: Fields): string {
  const params = new URLSearchParams();
  for (const [name, values] of Object.entries(fields)) {
    for (const value of typeof values === 'string' ? [values] : values) params.append(name, value);
  }
  return params.toString();
}
