import { expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { Product } from '../product.ts';

const BYE = 'https://app.example/bye';

describeEngines(
  'logout by a form of another site (OpenID Connect RP-Initiated Logout 1.0 section 2)',
  (engine) => {
    test('comes without cookies (SameSite=Lax), and still finds the session and ends it', async () => {
      await using product = await Product.open(engine);
      const client = await product.client({ post_logout_redirect_uris: [BYE] });
      const { browser, tokens } = await product.grant(client);
      const form = { id_token_hint: tokens.id_token, post_logout_redirect_uri: BYE, state: 's' };
      const posted = await product.post('/oauth/logout', form);
      expect(posted.headers['set-cookie']).toBeUndefined();
      const signedOut = await browser.submit(await browser.follow(posted), {});
      expect(signedOut.location?.href).toBe(`${BYE}?state=s`);
      expect(await product.isActive(client, tokens.access_token)).toBe(false);

      const again = await product.post('/oauth/logout', form);
      expect((await browser.follow(again)).location?.href).toBe(`${BYE}?state=s`);
    });
  },
);
