// Owns a person with a browser, as a client's test needs one: fetch with cookies that reads the forms of our pages and sends
// them back filled in. Knows what a page looks like from outside, nothing of how it is made.

type Fields = Readonly<Record<string, string | readonly string[]>>;

export interface Account {
  readonly username: string;
  readonly password: string;
}

/** How the client is called back: by a redirect, or by a form that the browser posts. */
export interface Callback {
  readonly url: URL;
  /** `code`, `state`, `iss` ... wherever they travel. */
  readonly answer: URLSearchParams;
}

interface Page {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
  /** The redirect's target, where there is one. */
  readonly next: URL | undefined;
}

export interface Decision {
  readonly decision?: 'allow' | 'deny';
  /** Scopes that the person does not grant. */
  readonly untick?: readonly string[];
}

/** A page from which the person cannot go on. */
export class Stuck extends Error {
  readonly status: number;

  constructor({
    url,
    status,
    text,
  }: { readonly url: URL | string; readonly status: number; readonly text: string }) {
    super(`The person is stuck at ${url} with ${status}: ${text}`);
    this.status = status;
  }
}

/** More steps than any flow has. */
const LONGEST_WALK = 10;

export class Person {
  readonly #origin: string;
  readonly #account: Account;
  readonly #cookies = new Map<string, string>();

  /** @param issuer whose pages these are; what leads elsewhere is a callback */
  constructor(issuer: string, account: Account) {
    this.#origin = new URL(issuer).origin;
    this.#account = account;
  }

  /** Opens an authorization address and does what the pages ask for, until the client is called back. */
  async authorize(address: URL | string, decision: Decision = {}): Promise<Callback> {
    let page = await this.open(address);
    for (let step = 0; step < LONGEST_WALK; step++) {
      const callback = callbackOf(page, this.#origin);
      if (callback) return callback;
      if (page.next) page = await this.open(page.next);
      else if (page.text.includes('name="password"')) page = await this.submit(page, { ...this.#account });
      else if (page.text.includes('name="decision"')) page = await this.#decide(page, decision);
      else throw new Stuck(page);
    }
    throw new Error(`The pages never lead back to the client; the last one was ${page.url}.`);
  }

  /** Signs in at the server itself. */
  async signIn(issuer: string): Promise<void> {
    const page = await this.submit(await this.open(`${issuer}/signin`), { ...this.#account });
    if (page.status !== 303) throw new Stuck(page);
  }

  open(address: URL | string): Promise<Page> {
    return this.#send(new URL(address), { method: 'GET' });
  }

  /** Sends the first form of a page, with `fields` over what is filled in already. */
  submit(page: Page, fields: Fields): Promise<Page> {
    const form = formOf(page);
    const body = new URLSearchParams();
    for (const [name, values] of Object.entries({ ...form.fields, ...fields })) {
      for (const value of [values].flat()) body.append(name, value);
    }
    return this.#send(form.action, { method: 'POST', body });
  }

  #decide(page: Page, { decision = 'allow', untick = [] }: Decision): Promise<Page> {
    const { scope = [] } = formOf(page).fields;
    return this.submit(page, {
      decision,
      scope: scope.filter((tick) => !untick.includes(tick.slice(tick.indexOf(':') + 1))),
    });
  }

  async #send(url: URL, init: RequestInit): Promise<Page> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...init, redirect: 'manual', headers: cookie ? { cookie } : {} });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    const location = response.headers.get('location');
    const next = location === null ? undefined : new URL(location, url);
    return { url, status: response.status, text: await response.text(), next };
  }

  #keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/; max-age=0(;|$)/i.test(line)) this.#cookies.delete(name);
    else this.#cookies.set(name, value);
  }
}

function callbackOf(page: Page, origin: string): Callback | undefined {
  if (page.next && page.next.origin !== origin) return { url: page.next, answer: page.next.searchParams };
  if (!page.text.includes('<form')) return undefined;
  const form = formOf(page);
  if (form.action.origin === origin) return undefined;
  const answer = new URLSearchParams();
  for (const [name, values] of Object.entries(form.fields)) answer.set(name, values[0] ?? '');
  return { url: form.action, answer };
}

/** Where the first form of a page goes, and what a browser would send with it untouched. */
function formOf(page: Page): { action: URL; fields: Record<string, string[]> } {
  const [, action, inside = ''] =
    /<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/s.exec(page.text) ?? [];
  if (action === undefined) throw new Stuck(page);
  const fields: Record<string, string[]> = {};
  for (const [input] of inside.matchAll(/<input [^>]*>/g)) {
    const name = attribute(input, 'name');
    const isOff = input.includes('type="checkbox"') && !input.includes(' checked');
    if (name === undefined || isOff) continue;
    fields[name] = [...(fields[name] ?? []), attribute(input, 'value') ?? ''];
  }
  return { action: new URL(unescaped(action), page.url), fields };
}

function attribute(tag: string, name: string): string | undefined {
  const value = new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1];
  return value === undefined ? undefined : unescaped(value);
}

function unescaped(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}
