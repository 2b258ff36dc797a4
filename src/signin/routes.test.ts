import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  addClient,
  addNotesApi,
  ask,
  NOTES_API,
  openSite,
  PASSWORD,
  type Site,
} from '../../test/browser/site.ts';
import { Visitor } from '../../test/browser/visitor.ts';
import { describeEngines } from '../../test/setup/engines.ts';
import type { User } from '../identity/user.ts';

const CREDENTIALS = { username: 'ada', password: PASSWORD };
const FULL_SCOPE = 'openid profile notes.read notes.write';

describeEngines('the pages', (engine) => {
  let site: Site;
  let ada: User;
  beforeAll(async () => {
    site = await openSite(engine);
    ada = await site.users.create({ username: 'ada', password: PASSWORD });
    await site.users.create({ username: 'grace', password: PASSWORD });
    await addNotesApi(site);
    await addClient(site, { id: 'notes', name: 'Notes <b>& more</b>' });
  });
  afterAll(() => site[Symbol.asyncDispose]());

  let visitors = 0;
  const visitor = () => new Visitor(site.app, `203.0.113.${++visitors}`);
  const signedIn = async (credentials = CREDENTIALS) => {
    const one = visitor();
    expect((await one.fill('/auth/signin', credentials)).status).toBe(303);
    return one;
  };
  const askNotes = (given = {}) =>
    ask(site, { client_id: 'notes', scope: FULL_SCOPE, resources: [NOTES_API], ...given });

  describe('home', () => {
    test('says what this is and where to sign in', async () => {
      const { status, body, headers } = await visitor().get('/auth');
      expect(status).toBe(200);
      expect(body).toContain('href="/auth/signin"');
      expect(body).toContain('href="/auth/.well-known/openid-configuration"');
      expect(headers['content-security-policy']).toContain("default-src 'none'; style-src 'self'");
      expect(headers['cache-control']).toBe('no-store');
    });

    test('greets who is signed in', async () => {
      const { body } = await (await signedIn()).get('/auth/');
      expect(body).toContain('<bdi>ada</bdi>');
      expect(body).not.toContain('href="/auth/signin"');
    });
  });

  describe('the stylesheet', () => {
    test('is kept for good under an address that changes with it', async () => {
      const { body } = await visitor().get('/auth/signin');
      const [address = ''] = body.match(/\/auth\/assets\/style\.css\?v=[\w-]+/) ?? [];
      const { status, headers } = await visitor().get(address);
      expect(status).toBe(200);
      expect(headers['content-type']).toBe('text/css; charset=utf-8');
      expect(headers['cache-control']).toContain('immutable');
      const again = await visitor().get(address, { 'if-none-match': String(headers['etag']) });
      expect([again.status, again.body]).toEqual([304, '']);
    });
  });

  describe('sign in', () => {
    test('without a request leads to the account', async () => {
      const one = visitor();
      const answer = await one.fill('/auth/signin', CREDENTIALS);
      expect([answer.status, answer.location]).toEqual([303, '/auth/account']);
      const cookie = String(answer.headers['set-cookie']);
      expect(cookie).toMatch(/HttpOnly/);
      expect(cookie).toMatch(/SameSite=Lax/i);
      expect(cookie).toMatch(/Max-Age=86400/);
      expect((await one.get('/auth/signin')).location).toBe('/auth/account');
    });

    test('names the client, fills in the hint and leads back to the flow', async () => {
      const handle = await askNotes({ login_hint: 'ada"><script>' });
      const one = visitor();
      const shown = await one.get(`/auth/signin?request=${handle}`);
      expect(shown.body).toContain('Notes &lt;b&gt;&amp; more&lt;/b&gt;');
      expect(shown.body).toContain('value="ada&quot;&gt;&lt;script&gt;"');
      expect(shown.headers['content-security-policy']).toContain("form-action 'self' https://notes.example;");
      const answer = await one.submit(shown.body, CREDENTIALS);
      expect([answer.status, answer.location]).toEqual([
        303,
        `/auth/oauth/authorize/resume?request=${handle}`,
      ]);
    });

    test('of a client that registered itself says so, and where it leads; of others neither', async () => {
      await addClient(site, { id: 'stranger', name: 'Stranger', source: 'dynamic' });
      const redirect_uri = 'https://elsewhere.example/cb';
      const handle = await ask(site, { client_id: 'stranger', redirect_uri });
      const one = visitor();
      const shown = await one.get(`/auth/signin?request=${handle}`);
      const failed = await one.submit(shown.body, { username: 'ada', password: 'wrong password' });
      for (const { body } of [shown, failed]) {
        expect(body).toContain('<p class="host"><bdi>elsewhere.example</bdi></p>');
        expect(body).toContain('registered itself');
      }
      const { body: reviewed } = await one.get(`/auth/signin?request=${await askNotes()}`);
      expect(reviewed).not.toMatch(/registered itself|class="host"/);
    });

    test('says the same to a wrong password and an unknown user, keeps the name and not the password', async () => {
      const wrong = await visitor().fill('/auth/signin', { username: 'ada', password: 'wrong password' });
      const unknown = await visitor().fill('/auth/signin', {
        username: 'nobody',
        password: 'wrong password',
      });
      for (const { status, body } of [wrong, unknown]) {
        expect(status).toBe(422);
        expect(body).toContain('role="alert" id="fault">The user name or password is not right.<');
        expect(body).not.toContain('wrong password');
      }
      expect(wrong.body).toContain('value="ada"');
      expect(stripped(unknown.body.replaceAll('nobody', 'ada'))).toBe(stripped(wrong.body));
    });

    test('asks for what is missing', async () => {
      const { status, body } = await visitor().fill('/auth/signin', { username: 'ada' });
      expect(status).toBe(422);
      expect(body).toContain('Enter your user name and your password.');
    });

    test('locks with 429, Retry-After and a sentence, even for the right password', async () => {
      const one = visitor();
      for (let i = 0; i < 9; i++)
        await one.fill('/auth/signin', { username: 'grace', password: 'wrong password' });
      await one.fill('/auth/signin', { username: 'grace', password: 'wrong password' });
      const { status, headers, body } = await one.fill('/auth/signin', {
        username: 'grace',
        password: PASSWORD,
      });
      expect(status).toBe(429);
      expect(Number(headers['retry-after'])).toBeGreaterThan(890);
      expect(body).toContain('Try again in 15 minutes.');
      expect((await visitor().fill('/auth/signin', { username: 'grace', password: PASSWORD })).status).toBe(
        303,
      );
    });

    test('gives a new session every time and ends the former one', async () => {
      const one = visitor();
      await one.fill('/auth/signin', CREDENTIALS);
      const former = one.cookies.get('authserver_session');
      const handle = await askNotes();
      await one.fill(`/auth/signin?request=${handle}`, CREDENTIALS);
      expect(one.cookies.get('authserver_session')).not.toBe(former);
      expect(await site.sessions.find(former)).toBeUndefined();
    });

    test('ignores a session token that somebody planted', async () => {
      const one = visitor();
      const planted = 'A'.repeat(43);
      one.cookies.set('authserver_session', planted);
      await one.fill('/auth/signin', CREDENTIALS);
      expect(one.cookies.get('authserver_session')).not.toBe(planted);
      expect(await site.sessions.find(planted)).toBeUndefined();
    });

    test('takes no form that another browser was given', async () => {
      const { body } = await visitor().get('/auth/signin');
      const stranger = visitor();
      await stranger.get('/auth/signin');
      const answer = await stranger.submit(body, CREDENTIALS);
      expect(answer.status).toBe(403);
      expect(answer.body).toContain('go back, reload the page and try again');
      expect(stranger.cookies.has('authserver_session')).toBe(false);
      expect((await visitor().post('/auth/signin', CREDENTIALS)).status).toBe(403);
    });

    test.each(['/auth/signin', '/auth/consent'])(
      '%s with a handle that is gone tells to start again',
      async (url) => {
        const { status, body } = await (await signedIn()).get(`${url}?request=gone`);
        expect(status).toBe(400);
        expect(body).toContain('start again');
        expect(body).toMatch(/Number of this request: <code>[\w-]+<\/code>/);
      },
    );
  });

  describe('consent', () => {
    test('needs somebody signed in', async () => {
      const handle = await askNotes();
      const answer = await visitor().get(`/auth/consent?request=${handle}`);
      expect([answer.status, answer.location]).toEqual([303, `/auth/signin?request=${handle}`]);
    });

    test('shows who asks, where it leads, for whom, and every scope ticked', async () => {
      const { body, headers } = await (await signedIn()).get(`/auth/consent?request=${await askNotes()}`);
      expect(body).toContain('Notes &lt;b&gt;&amp; more&lt;/b&gt;');
      expect(body).toContain('<p class="host"><bdi>notes.example</bdi></p>');
      expect(body).toContain('<bdi>ada</bdi>');
      expect(body).toMatch(/checked disabled>\s*<label for="scope-0-0">Know who you are/);
      expect(body).toMatch(
        /name="scope" value="1:notes.read" checked>\s*<label for="scope-1-0"><bdi>Read your notes/,
      );
      expect(body).toContain('At <bdi>Notes API</bdi>');
      expect(body).not.toContain('registered itself');
      expect(headers['content-security-policy']).toContain("form-action 'self' https://notes.example;");
    });

    test('warns of applications that registered themselves and names the device for loopback', async () => {
      await addClient(site, { id: 'self', name: 'Self', source: 'dynamic' });
      const handle = await ask(site, { client_id: 'self', redirect_uri: 'http://127.0.0.1:9/cb' });
      const { body } = await (await signedIn()).get(`/auth/consent?request=${handle}`);
      expect(body).toContain('registered itself');
      expect(body).toContain('<bdi>an application on this device</bdi>');
    });

    test('grants what is left ticked, keeps it by resource, and goes back to the flow', async () => {
      const one = await signedIn();
      const handle = await askNotes();
      const answer = await one.fill(`/auth/consent?request=${handle}`, {
        decision: 'allow',
        scope: ['1:notes.read'],
      });
      expect([answer.status, answer.location]).toEqual([
        303,
        `/auth/oauth/authorize/resume?request=${handle}`,
      ]);
      const session = await site.sessions.find(one.cookies.get('authserver_session'));
      expect((await site.requests.find(handle))?.decision).toMatchObject({
        outcome: 'granted',
        scope: 'openid notes.read',
        session_id: session?.id,
      });
      expect(await consents(ada.id)).toEqual({ '': 'openid', [NOTES_API]: 'notes.read' });

      await one.fill(`/auth/consent?request=${await askNotes({ scope: 'openid notes.write' })}`, {
        decision: 'allow',
        scope: ['1:notes.write'],
      });
      expect(await consents(ada.id)).toEqual({ '': 'openid', [NOTES_API]: 'notes.read notes.write' });

      await one.fill(`/auth/consent?request=${await askNotes()}`, {
        decision: 'allow',
        scope: ['0:profile'],
      });
      expect(await consents(ada.id)).toEqual({ '': 'openid profile', [NOTES_API]: '' });
    });

    test('cannot be talked into more than was asked', async () => {
      const handle = await askNotes({ scope: 'openid notes.read' });
      await (await signedIn()).fill(`/auth/consent?request=${handle}`, {
        decision: 'allow',
        scope: ['1:notes.read', '1:notes.write', '0:notes.read', '0:email', '2:notes.write'],
      });
      expect((await site.requests.find(handle))?.decision?.scope).toBe('openid notes.read');
    });

    test('denies', async () => {
      const handle = await askNotes();
      const answer = await (await signedIn()).fill(`/auth/consent?request=${handle}`, {
        decision: 'deny',
        scope: ['0:profile'],
      });
      expect(answer.status).toBe(303);
      expect((await site.requests.find(handle))?.decision).toMatchObject({ outcome: 'denied', scope: '' });
    });

    test('asks again when nothing is ticked and nothing denied', async () => {
      const one = await signedIn();
      const handle = await askNotes({ scope: 'profile' });
      const { status, body } = await one.fill(`/auth/consent?request=${handle}`, { decision: 'allow' });
      expect(status).toBe(422);
      expect(body).toContain('Nothing is ticked.');
      expect((await site.requests.find(handle))?.decision).toBeNull();
      expect((await one.fill(`/auth/consent?request=${handle}`, {})).status).toBe(400);
    });

    test('is not decided by whoever signed in after the page was shown', async () => {
      const one = await signedIn();
      const handle = await askNotes();
      const { body } = await one.get(`/auth/consent?request=${handle}`);
      await one.fill(`/auth/signin?request=${handle}`, { username: 'grace', password: PASSWORD });
      expect((await one.submit(body, { decision: 'allow', scope: ['0:profile'] })).status).toBe(403);
      expect((await site.requests.find(handle))?.decision).toBeNull();
    });
  });

  describe('sign out', () => {
    test('asks, ends the session, removes the cookie and says so', async () => {
      const one = await signedIn();
      const token = one.cookies.get('authserver_session');
      expect((await one.get('/auth/signout')).body).toContain('Sign out?');
      expect(await site.sessions.find(token)).toBeDefined();
      const answer = await one.fill('/auth/signout', {});
      expect([answer.status, answer.location]).toEqual([303, '/auth/signout']);
      expect(one.cookies.has('authserver_session')).toBe(false);
      expect(await site.sessions.find(token)).toBeUndefined();
      expect((await one.get('/auth/signout')).body).toContain('You are signed out');
    });

    test('cannot be done by another site', async () => {
      const one = await signedIn();
      expect((await one.post('/auth/signout', {})).status).toBe(403);
      expect(await site.sessions.find(one.cookies.get('authserver_session'))).toBeDefined();
    });

    test('goes on to the application that asked, by a handle and never by an address', async () => {
      site.postLogouts.set('h1', { uri: 'https://notes.example/bye?state=1', clientName: 'Notes' });
      const one = await signedIn();
      const shown = await one.get('/auth/signout?post_logout=h1');
      expect(shown.body).toContain('<bdi>Notes</bdi></strong> asks to sign you out');
      expect(shown.headers['content-security-policy']).toContain("form-action 'self' https://notes.example;");
      expect((await one.submit(shown.body, {})).location).toBe('https://notes.example/bye?state=1');
      expect((await one.get('/auth/signout?post_logout=h1')).location).toBe(
        'https://notes.example/bye?state=1',
      );
      const evil = await one.get('/auth/signout?post_logout=https://evil.example');
      expect([evil.status, evil.location]).toEqual([200, undefined]);
    });
  });

  describe('the account', () => {
    test('needs somebody signed in', async () => {
      const one = visitor();
      expect((await one.get('/auth/account')).location).toBe('/auth/signin');
      expect((await one.post('/auth/account/sessions/x/end', {})).location).toBe('/auth/signin');
    });

    test('lists sessions, this one first, and ends one or all others', async () => {
      await site.sessions.endAll(ada.id);
      const one = await signedIn();
      const [two, three] = [await signedIn(), await signedIn()];
      const alive = async (who: Visitor) =>
        (await site.sessions.find(who.cookies.get('authserver_session'))) !== undefined;
      const { body } = await one.get('/auth/account');
      expect(body.match(/Unknown device/g)).toHaveLength(3);
      expect(body.match(/this one/g)).toHaveLength(1);
      expect(body.indexOf('this one')).toBeLessThan(body.lastIndexOf('Unknown device'));

      const second = await site.sessions.find(two.cookies.get('authserver_session'));
      const ended = await one.submit(body, {}, `/sessions/${second?.id}/end`);
      expect([ended.status, ended.location]).toEqual([303, '/auth/account?notice=session_ended']);
      expect(await Promise.all([one, two, three].map(alive))).toEqual([true, false, true]);

      const others = await one.submit(body, {}, '/end-others');
      expect((await one.get(String(others.location))).body).toContain(
        'Every other device has been signed out.',
      );
      expect(await Promise.all([one, three].map(alive))).toEqual([true, false]);
      expect((await one.get('/auth/account')).body).not.toContain('Sign out everywhere else');
    });

    test('ending this session signs out', async () => {
      const one = await signedIn();
      const session = await site.sessions.find(one.cookies.get('authserver_session'));
      const { body } = await one.get('/auth/account');
      const answer = await one.submit(body, {}, `/sessions/${session?.id}/end`);
      expect(answer.location).toBe('/auth/signout');
      expect(one.cookies.has('authserver_session')).toBe(false);
    });

    test('nobody ends the session of somebody else', async () => {
      const one = await signedIn();
      const other = await signedIn({ username: 'grace', password: PASSWORD });
      const session = await site.sessions.find(one.cookies.get('authserver_session'));
      const { body } = await other.get('/auth/account');
      expect(body).not.toContain(session?.id);
      const csrf = body.match(/name="csrf" value="([^"]*)"/)?.[1] ?? '';
      expect((await other.post(`/auth/account/sessions/${session?.id}/end`, { csrf })).status).toBe(403);
      expect(await site.sessions.find(one.cookies.get('authserver_session'))).toBeDefined();
    });

    test('lists what applications may do, in words, and withdraws it', async () => {
      const one = await signedIn();
      const scope = ['0:profile', '1:notes.read'];
      await one.fill(`/auth/consent?request=${await askNotes()}`, { decision: 'allow', scope });
      const { body } = await one.get('/auth/account');
      expect(body).toContain('Notes &lt;b&gt;&amp; more&lt;/b&gt;');
      expect(body).toContain('<bdi>notes.example</bdi>, since <time datetime="20');
      expect(body).toContain('<li><bdi>Read your notes</bdi></li>');
      expect(body).not.toContain('Write and delete your notes');
      const answer = await one.submit(body, {}, '/grants/notes/withdraw');
      expect(answer.location).toBe('/auth/account?notice=access_withdrawn');
      expect(await consents(ada.id)).toEqual({});
      expect((await one.get('/auth/account')).body).not.toContain('Notes &lt;b&gt;');
    });

    test('lists applications that need not ask, by their live tokens, and withdraws those too', async () => {
      await addClient(site, { id: 'intranet', name: 'Intranet', skip_consent: true });
      const one = await signedIn();
      const session = await site.sessions.find(one.cookies.get('authserver_session'));
      await giveTokens(site, 'intranet', ada.id, session?.id ?? '');
      const { body } = await one.get('/auth/account');
      expect(body).toContain('<bdi>Intranet</bdi>');
      expect(body).toContain('<li><bdi>Read your notes</bdi></li>');
      await one.submit(body, {}, '/grants/intranet/withdraw');
      expect((await one.get('/auth/account')).body).not.toContain('Intranet');
      expect(await site.store.families.listOfUser({ user_id: ada.id, now: site.clock.now() })).toEqual([]);
    });

    test('works with client ids that need escaping', async () => {
      await addClient(site, { id: 'https://app.example/a b?c', name: 'Odd' });
      const one = await signedIn();
      const handle = await ask(site, { client_id: 'https://app.example/a b?c' });
      await one.fill(`/auth/consent?request=${handle}`, { decision: 'allow' });
      const { body } = await one.get('/auth/account');
      expect(body).toContain('>Odd<');
      expect((await one.submit(body, {}, '/withdraw')).status).toBe(303);
      expect((await one.get('/auth/account')).body).not.toContain('>Odd<');
    });

    test('says only what it was made to say', async () => {
      const one = await signedIn();
      for (const notice of ['constructor', 'toString', '<b>']) {
        expect((await one.get(`/auth/account?notice=${notice}`)).body).not.toContain('role="status"');
      }
    });
  });

  test('what people did is recorded, with who and from where', async () => {
    const actions = new Set(site.events.map(({ action }) => action));
    expect([...actions].toSorted()).toEqual([
      'consent.denied',
      'consent.granted',
      'consent.withdrawn',
      'session.ended',
      'session.others_ended',
      'user.locked_out',
      'user.sign_in_failed',
      'user.signed_in',
    ]);
    expect(site.events.every(({ ip }) => ip?.startsWith('203.0.113.'))).toBe(true);
    expect(site.events.every(({ actor }) => actor === 'anonymous' || actor.startsWith('user:'))).toBe(true);
    expect(JSON.stringify(site.events)).not.toContain(PASSWORD);
  });

  test('an address without a page gets the error page', async () => {
    const { status, body } = await visitor().get('/auth/nowhere', { accept: 'text/html' });
    expect(status).toBe(404);
    expect(body).toContain('<h1>There is nothing here</h1>');
  });

  async function consents(user_id: string): Promise<Record<string, string>> {
    const records = await site.store.consents.find({ user_id, client_id: 'notes' });
    return Object.fromEntries(records.map(({ resource, scope }) => [resource, scope]));
  }
});

/** A page without what differs from browser to browser. */
function stripped(html: string): string {
  return html.replaceAll(/name="csrf" value="[^"]*"/g, '');
}

/** What a client holds after it has redeemed a code. */
async function giveTokens(site: Site, client_id: string, user_id: string, session_id: string): Promise<void> {
  const now = site.clock.now();
  const expires_at = now + 60_000;
  const about = {
    client_id,
    user_id,
    session_id,
    scope: 'openid notes.read',
    resources_json: '[]',
    claims_json: null,
  };
  const proof = { auth_time: now, acr: 'a', amr_json: '["pwd"]', created_at: now, expires_at };
  const code = {
    code_hash: `code ${session_id}`,
    redirect_uri: '',
    nonce: null,
    code_challenge: null,
    redeemed_at: null,
  };
  const family_id = `family ${session_id}`;
  await site.store.codes.issue({ code: { ...about, ...proof, ...code, family_id }, request_id: null });
  const { outcome } = await site.store.codes.redeem({
    code_hash: code.code_hash,
    now,
    family: { ...about, ...proof, id: family_id, revoked_at: null, revoked_reason: null },
    tokens: {
      issuance: {
        jti: family_id,
        family_id,
        user_id,
        client_id,
        kid: 'k',
        issued_at: now,
        expires_at,
        revoked_at: null,
      },
      refresh: null,
    },
  });
  expect(outcome).toBe('redeemed');
}
