// The pages as a person meets them: a real browser without scripts, a keyboard, a small screen, a dark room.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { launchChromium, noBrowser } from './chromium.ts';
import { addClient, addNotesApi, ask, NOTES_API, openSite, PASSWORD, PREFIX, type Site } from './site.ts';

const SCREENS = [
  { width: 320, height: 640 },
  { width: 375, height: 812 },
  { width: 1280, height: 800 },
];

describe('in a browser', () => {
  let site: Site;
  let browser: Browser;
  let client: Server;
  let base: string;
  let callback: string;
  const complaints: string[] = [];

  beforeAll(async () => {
    if (noBrowser) return;
    site = await openSite({ name: 'sqlite' });
    await site.users.create({ username: 'ada', password: PASSWORD });
    await addNotesApi(site);
    await addClient(site, { id: 'notes', name: 'Notes' });
    await site.app.listen({ host: '127.0.0.1', port: 0 });
    base = `http://127.0.0.1:${portOf(site.app.server)}${PREFIX}`;
    client = createServer((_, response) => response.end('<title>Notes</title>Welcome back to Notes'));
    await new Promise<void>((resolve) => client.listen(0, '127.0.0.1', resolve));
    callback = `http://127.0.0.1:${portOf(client)}/callback`;
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    client?.close();
    await site?.[Symbol.asyncDispose]();
  });

  beforeEach((ctx) => {
    if (noBrowser) ctx.skip(noBrowser);
    complaints.length = 0;
  });

  afterEach(async () => {
    for (const context of browser?.contexts() ?? []) await context.close();
  });

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ javaScriptEnabled: false, ...options });
    const page = await context.newPage();
    page.on('console', (message) => {
      if (!/status of 4\d\d/.test(message.text())) complaints.push(message.text());
    });
    return page;
  }

  const askNotes = (given = {}) =>
    ask(site, {
      client_id: 'notes',
      redirect_uri: callback,
      scope: 'openid profile notes.read notes.write',
      resources: [NOTES_API],
      ...given,
    });

  async function signIn(page: Page, url: string, password = PASSWORD): Promise<void> {
    await page.goto(url);
    await page.getByLabel('User name or e-mail').fill('ada');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  test('a person signs in, unticks a scope, allows, and arrives at the client', async () => {
    const page = await open();
    await signIn(page, `${base}/signin?request=${await askNotes()}`);
    expect(await page.title()).toBe('Give Notes access? · Example ID');
    expect(await page.getByLabel('Know who you are').isDisabled()).toBe(true);
    await page.getByLabel('Write and delete your notes').uncheck();
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(/\/callback/);
    expect(new URL(page.url()).searchParams.get('scope')).toBe('openid profile notes.read');
    expect(complaints).toEqual([]);
  });

  test('a person denies and arrives at the client too', async () => {
    const page = await open();
    await signIn(page, `${base}/signin?request=${await askNotes()}`);
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.waitForURL(/outcome=denied/);
    expect(complaints).toEqual([]);
  });

  test('the keyboard is enough, in the order one reads', async () => {
    const page = await open({ javaScriptEnabled: true });
    await page.goto(`${base}/signin?request=${await askNotes({ scope: 'openid profile' })}`);
    await page.locator('#username:focus').waitFor();
    await page.keyboard.type('ada');
    await page.keyboard.press('Tab');
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await page.waitForURL(/consent/);
    const order: string[] = [];
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press('Tab');
      order.push(
        await page.evaluate('document.activeElement.textContent.trim() || document.activeElement.value'),
      );
    }
    expect(order).toEqual(['Example ID', 'ada', 'Sign out', '0:profile', 'Allow', 'Deny']);
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Space');
    await page.waitForURL(/outcome=granted/);
  });

  test('a mistake is announced and tied to the fields, and the next try starts at the password', async () => {
    const page = await open({ javaScriptEnabled: true });
    await signIn(page, `${base}/signin`, 'wrong password');
    expect(await page.getByRole('alert').textContent()).toBe('The user name or password is not right.');
    const password = page.getByLabel('Password');
    expect(await password.getAttribute('aria-describedby')).toBe(
      await page.getByRole('alert').getAttribute('id'),
    );
    await page.locator('#password:focus').waitFor();
    expect([await page.getByLabel('User name or e-mail').inputValue(), await password.inputValue()]).toEqual([
      'ada',
      '',
    ]);
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await page.waitForURL(/account/);
  });

  test('the account page signs out another device, withdraws a grant, and signs out here', async () => {
    const [here, there] = [await open(), await open()];
    await signIn(there, `${base}/signin`);
    await signIn(here, `${base}/signin?request=${await askNotes()}`);
    await here.getByRole('button', { name: 'Allow' }).click();
    await here.waitForURL(/\/callback/);

    await here.goto(`${base}/account`);
    await here.getByRole('button', { name: 'Sign out everywhere else' }).click();
    expect(await here.getByRole('status').textContent()).toBe('Every other device has been signed out.');
    await there.goto(`${base}/account`);
    expect(there.url()).toBe(`${base}/signin`);

    await here.getByRole('button', { name: 'Withdraw' }).click();
    expect(await here.getByText('No application has access to your account.').isVisible()).toBe(true);
    await here.getByRole('link', { name: 'Sign out' }).click();
    await here.getByRole('button', { name: 'Sign out' }).click();
    expect(await here.getByRole('heading', { level: 1 }).textContent()).toBe('You are signed out');
    await here.goBack();
    await here.goto(`${base}/account`);
    expect(here.url()).toBe(`${base}/signin`);
    expect(complaints).toEqual([]);
  });

  test.each(SCREENS)(
    'every page fits $width x $height, light and dark, and is a page for everyone',
    async (viewport) => {
      for (const colorScheme of ['light', 'dark'] as const) {
        const page = await open({ javaScriptEnabled: true, viewport, colorScheme });
        await page.goto(`${base}/`);
        await inspect(page, colorScheme);
        await signIn(page, `${base}/signin?request=${await askNotes()}`, 'wrong password');
        await inspect(page, colorScheme);
        await signIn(page, `${base}/signin?request=${await askNotes()}`);
        await inspect(page, colorScheme);
        for (const path of ['/account', '/signout', '/consent?request=gone']) {
          await page.goto(base + path);
          await inspect(page, colorScheme);
        }
      }
      expect(complaints).toEqual([]);
    },
  );

  test('whoever asks for less motion gets none', async () => {
    const transitionOf = async (reducedMotion: 'reduce' | 'no-preference') => {
      const page = await open({ javaScriptEnabled: true, reducedMotion });
      await page.goto(`${base}/signin`);
      return page.evaluate('getComputedStyle(document.querySelector("button")).transitionDuration');
    };
    expect(await transitionOf('reduce')).toBe('0s');
    expect(await transitionOf('no-preference')).toMatch(/0\.12s/);
  });
});

/** What holds for every page, whatever it says. */
async function inspect(page: Page, colorScheme: 'light' | 'dark'): Promise<void> {
  const seen = await page.evaluate<{
    overflow: number;
    lang: string;
    headings: number;
    mains: number;
    unlabelled: number;
    scripts: number;
    ground: string;
  }>(`({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    lang: document.documentElement.lang,
    headings: document.querySelectorAll('h1').length,
    mains: document.querySelectorAll('main').length,
    unlabelled: [...document.querySelectorAll('input:not([type=hidden])')].filter((input) => !input.labels.length).length,
    scripts: document.querySelectorAll('script, [style], [onclick]').length,
    ground: getComputedStyle(document.body).backgroundColor,
  })`);
  expect({ url: page.url(), ...seen }).toEqual({
    url: page.url(),
    overflow: 0,
    lang: 'en',
    headings: 1,
    mains: 1,
    unlabelled: 0,
    scripts: 0,
    ground: colorScheme === 'light' ? 'rgb(244, 245, 248)' : 'rgb(15, 19, 27)',
  });
  expect(await page.title()).toMatch(/^.+ · Example ID$/);
}

function portOf(server: Pick<Server, 'address'>): number {
  return (server.address() as AddressInfo).port;
}
