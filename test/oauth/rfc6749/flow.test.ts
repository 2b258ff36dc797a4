import { expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { claimsOf, Product } from '../product.ts';

describeEngines('the code flow', (engine) => {
  test('signs a user in and gives an access token, a refresh token and an ID token', async () => {
    await using product = await Product.open(engine);
    const client = await product.client();
    const user = await product.user();
    const { answer, tokens } = await product.grant(client, {
      username: user.username,
      ask: { scope: 'openid email' },
    });
    expect(answer.status).toBe(200);
    expect(tokens).toMatchObject({ token_type: 'Bearer', expires_in: 900, scope: 'openid email' });
    expect(claimsOf(tokens.access_token)).toMatchObject({ sub: user.id, client_id: client.id });
    expect(claimsOf(tokens.id_token)).toMatchObject({ sub: user.id, aud: client.id, nonce: 'a nonce' });
    const refreshed = await product.token(client, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
    });
    expect(refreshed.status).toBe(200);
    expect(refreshed.json.refresh_token).not.toBe(tokens.refresh_token);
  });
});
