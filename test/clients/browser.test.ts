// The whole way in a real browser: an application, the served product and a person between them.

import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { launchChromium, noBrowser } from '../browser/chromium.ts';
import { describeEngines } from '../setup/engines.ts';
import { ALICE, Stage } from './stage.ts';
import { WebApp } from './web-app.ts';

/** A browser on a busy machine takes its time. */
const DEADLINE = 60_000;

const SCRIPTS = [
  { scripts: 'without scripts', javaScriptEnabled: false },
  { scripts: 'with scripts', javaScriptEnabled: true },
];

describeEngines('in Chromium', (engine) => {
  let stage: Stage;
  let app: WebApp;
  let browser: Browser;
  const stack = new AsyncDisposableStack();
  /** What the browser has complained about: errors of pages, and what their policy forbade. */
  let complaints: string[] = [];

  beforeAll(async () => {
    if (noBrowser) return;
    stage = stack.use(await Stage.open(engine));
    app = stack.use(await WebApp.open(stage));
    browser = await launchChromium();
    stack.defer(() => browser.close());
  });
  afterAll(() => stack.disposeAsync());

  beforeEach((context) => {
    if (noBrowser) context.skip(noBrowser);
    complaints = [];
  });
  afterEach(async () => {
    for (const context of browser?.contexts() ?? []) await context.close();
  });

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on('console', (message) => void complaints.push(message.text()));
    page.on('pageerror', (error) => void complaints.push(error.message));
    return page;
  }

  async function signIn(page: Page, password = ALICE.password): Promise<void> {
    await page.getByLabel('User name or e-mail').fill(ALICE.username);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent();

  it.for(SCRIPTS)(
    'Alice signs in, keeps one scope to herself and arrives, $scripts',
    { timeout: DEADLINE },
    async (options) => {
      const page = await open(options);
      await page.goto(`${app.url}/signin`);
      await inspect(page);
      await signIn(page);
      await inspect(page);
      await page.getByLabel('See your e-mail address').uncheck();
      await page.getByRole('button', { name: 'Allow' }).click();
      expect(await heading(page)).toBe('Welcome, granted openid profile');
      expect(app.tokens?.claims()?.sub).toBe(stage.sub);
      expect(complaints).toEqual([]);
    },
  );

  it.for(SCRIPTS)('the answer comes as a form, $scripts', { timeout: DEADLINE }, async (options) => {
    const page = await open(options);
    await page.goto(`${app.url}/signin?response_mode=form_post`);
    await signIn(page);
    await page.getByRole('button', { name: 'Allow' }).click();
    if (!options.javaScriptEnabled) {
      await inspect(page);
      await page.getByRole('button', { name: 'Continue' }).click();
    }
    await page.waitForURL(`${app.url}/callback`);
    expect(await heading(page)).toBe('Welcome, granted email openid profile');
    expect(complaints).toEqual([]);
  });

  it('a wrong password is named, and does no harm', { timeout: DEADLINE }, async () => {
    const page = await open();
    await page.goto(`${app.url}/signin`);
    await signIn(page, 'not this one');
    expect(await page.getByRole('alert').textContent()).toBe('The user name or password is not right.');
    await inspect(page);
    await signIn(page);
    await page.getByRole('button', { name: 'Deny' }).click();
    expect(await heading(page)).toBe('Failed: access_denied');
    // The browser itself notes the 422 of the wrong password.
    expect(complaints.filter((text) => !text.includes('422'))).toEqual([]);
  });

  it('what Alice withdraws on her account page, the application has no more', {
    timeout: DEADLINE,
  }, async () => {
    const page = await open();
    await page.goto(`${app.url}/signin`);
    await signIn(page);
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(/callback/);
    await app.refresh();

    await page.goto(`${stage.issuer}/account`);
    await inspect(page);
    await page.getByRole('button', { name: 'Withdraw' }).click();
    expect(await page.getByRole('status').textContent()).toBe('The application no longer has access.');
    await expect(app.refresh()).rejects.toMatchObject({ error: 'invalid_grant' });
    expect(complaints).toEqual([]);
  });

  it('Alice signs out, from the application and at the server', { timeout: DEADLINE }, async () => {
    const page = await open();
    await page.goto(`${app.url}/signin`);
    await signIn(page);
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.waitForURL(/callback/);
    await page.goto(app.signOutUrl);
    expect(await heading(page)).toBe('Goodbye');
    await page.goto(`${stage.issuer}/account`);
    expect(page.url()).toBe(`${stage.issuer}/signin`);

    await signIn(page);
    await page.getByRole('link', { name: 'Sign out' }).click();
    await inspect(page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    expect(await heading(page)).toBe('You are signed out');
    await page.goto(`${stage.issuer}/account`);
    expect(page.url()).toBe(`${stage.issuer}/signin`);
    expect(complaints).toEqual([]);
  });

  it('a keyboard is enough', { timeout: DEADLINE }, async () => {
    const page = await open();
    await page.goto(`${app.url}/signin`);
    await tabTo(page, 'username');
    await page.keyboard.type(ALICE.username);
    await page.keyboard.press('Tab');
    await page.keyboard.type(ALICE.password);
    await page.keyboard.press('Enter');
    await page.waitForURL(/consent/);
    await tabTo(page, 'scope');
    await page.keyboard.press('Space');
    await tabTo(page, 'decision');
    await page.keyboard.press('Enter');
    await page.waitForURL(/callback/);
    expect(await heading(page)).toMatch(/^Welcome, granted (openid profile|email openid)$/);
    expect(complaints).toEqual([]);
  });
});

/** Presses Tab until a field of this name has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let step = 0; step < 20; step++) {
    if ((await page.evaluate('document.activeElement.name')) === name) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never reaches ${name} on ${page.url()}.`);
}

/** What everybody needs of a page who does not see it: a language, a title, one heading, names for everything to use. */
async function inspect(page: Page): Promise<void> {
  const found = await page.evaluate<Readonly<Record<string, unknown>>>(`({
    lang: document.documentElement.lang,
    title: document.title !== '',
    unnamed: [...document.querySelectorAll('input:not([type=hidden]), button, a, select, textarea')]
      .filter((one) => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel)
      .map((one) => one.outerHTML),
    doubled: [...document.querySelectorAll('[id]')].filter((one, i, all) => all.some((other, j) => j < i && other.id === one.id)).length,
    dangling: [...document.querySelectorAll('[aria-describedby], [aria-labelledby]')]
      .filter((one) => !document.getElementById(one.getAttribute('aria-describedby') ?? one.getAttribute('aria-labelledby')))
      .length,
    images: [...document.images].filter((one) => !one.hasAttribute('alt')).length,
  })`);
  expect(found, page.url()).toEqual({
    lang: 'en',
    title: true,
    unnamed: [],
    doubled: 0,
    dangling: 0,
    images: 0,
  });
}
