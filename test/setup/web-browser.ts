// Owns a browser without a window for tests over the network: keeps cookies by host, follows redirects, sends forms back.

export interface WebPage {
  readonly url: string;
  readonly status: number;
  readonly body: string;
}

type Fields = Readonly<Record<string, string | readonly string[]>>;

export class WebBrowser {
  readonly #jars = new Map<string, Map<string, string>>();

  /** Opens an address and follows where it leads. */
  open(url: string): Promise<WebPage> {
    return this.#load(url, undefined);
  }

  /** Sends the first form of a page back, with these fields over the ones that are filled in already. */
  submit(page: WebPage, fields: Fields): Promise<WebPage> {
    const [, action, inside = ''] =
      /<form method="post" action="([^"]*)"[^>]*>(.*?)<\/form>/s.exec(page.body) ?? [];
    if (action === undefined) throw new Error(`no form at ${page.url} (${page.status}): ${page.body}`);
    const form = new URLSearchParams();
    for (const [input] of inside.matchAll(/<input [^>]*>/g)) {
      const name = / name="([^"]*)"/.exec(input)?.[1];
      const isOff = input.includes('type="checkbox"') && !input.includes(' checked');
      if (name === undefined || isOff || name in fields) continue;
      form.append(name, / value="([^"]*)"/.exec(input)?.[1] ?? '');
    }
    for (const [name, values] of Object.entries(fields)) {
      for (const value of [values].flat()) form.append(name, value as string);
    }
    return this.#load(new URL(action, page.url).href, form);
  }

  async #load(first: string, form: URLSearchParams | undefined): Promise<WebPage> {
    let url = first;
    let body = form;
    for (let hop = 0; hop < 10; hop++) {
      const jar = this.#jarOf(url);
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(url, {
        method: body ? 'POST' : 'GET',
        redirect: 'manual',
        headers: cookie ? { cookie } : {},
        ...(body && { body }),
      });
      for (const line of response.headers.getSetCookie()) keep(jar, line);
      const location = response.headers.get('location');
      if (location === null) return { url, status: response.status, body: await response.text() };
      await response.arrayBuffer();
      url = new URL(location, url).href;
      body = undefined;
    }
    throw new Error(`${first} redirects without end`);
  }

  #jarOf(url: string): Map<string, string> {
    const { host } = new URL(url);
    const jar = this.#jars.get(host) ?? new Map<string, string>();
    this.#jars.set(host, jar);
    return jar;
  }
}

function keep(jar: Map<string, string>, line: string): void {
  const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
  if (/max-age=0/i.test(line)) jar.delete(name);
  else jar.set(name, value);
}
