/** A browser as far as signing in needs one: it follows redirects, keeps cookies and fills in the sign-in form. */
import { authorizationQuery, bench } from './scenarios.ts';

const MOST_STEPS = 10;

/** Signs the user in on the way to the client; the cookies that are left, as a `Cookie` header. */
export async function signIn(authorizationEndpoint: string): Promise<string> {
  const jar = new Map<string, string>();
  let next: Next = { address: `${authorizationEndpoint}?${authorizationQuery}` };
  for (let step = 0; step < MOST_STEPS; step++) {
    const response = await request(next, jar);
    keep(response, jar);
    const location = response.headers.get('location');
    if (location?.startsWith(bench.redirect_uri)) return cookieHeader(jar);
    next =
      location === null
        ? filledIn(await response.text(), next.address)
        : { address: new URL(location, next.address).href };
  }
  throw new Error(`signing in at ${authorizationEndpoint} does not come to an end`);
}

interface Next {
  readonly address: string;
  readonly form?: URLSearchParams;
}

function request({ address, form }: Next, jar: ReadonlyMap<string, string>): Promise<Response> {
  return fetch(address, {
    redirect: 'manual',
    headers: { cookie: cookieHeader(jar) },
    ...(form && { method: 'POST', body: form }),
  });
}

function keep(response: Response, jar: Map<string, string>): void {
  for (const cookie of response.headers.getSetCookie()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
    if (value === '') jar.delete(name);
    else jar.set(name, value);
  }
}

function cookieHeader(jar: ReadonlyMap<string, string>): string {
  return [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
}

function filledIn(page: string, address: string): Next {
  const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
  if (action === undefined) throw new Error(`no form to fill in at ${address}:\n${page}`);
  const hidden = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
  const form = new URLSearchParams();
  for (const [, name = '', value = ''] of hidden) form.set(name, value);
  form.set('username', bench.username);
  form.set('password', bench.password);
  return { address: new URL(action, address).href, form };
}
