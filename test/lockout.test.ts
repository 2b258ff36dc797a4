// What the settings make of the lockout: it is no part of the rate limiter, and only its own limit switches it off.

import { expect, test } from 'vitest';
import { Product } from './oauth/product.ts';
import { describeEngines } from './setup/engines.ts';

describeEngines('the lockout', (engine) => {
  async function guess(env: Readonly<Record<string, string>>, times: number): Promise<number> {
    await using product = await Product.open(engine, env);
    const { username } = await product.user();
    const browser = product.browser();
    const page = await browser.get('/signin');
    let last = 0;
    for (let i = 0; i < times; i++)
      last = (await browser.submit(page, { username, password: `wrong password ${i}` })).status;
    return last;
  }

  test('holds while requests are not counted', async () => {
    const env = { AUTHSERVER_RATE_LIMIT_ENABLED: 'false', AUTHSERVER_RATE_LIMIT_AUTH_FAIL_MAX: '3' };
    expect(await guess(env, 2)).toBe(422);
    expect(await guess(env, 3)).toBe(429);
  });

  test('is off with a limit of 0', async () => {
    expect(await guess({ AUTHSERVER_RATE_LIMIT_AUTH_FAIL_MAX: '0' }, 15)).toBe(422);
  });
});
