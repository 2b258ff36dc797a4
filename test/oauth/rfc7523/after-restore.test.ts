// RFC 7523 section 3, `jti`: a restore forgets which assertions were used since the backup, so those that may have been are
// refused.

import { randomUUID } from 'node:crypto';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { describeEngines } from '../../setup/engines.ts';
import { ISSUER, Product } from '../product.ts';

const LONGEST_LIFETIME = 600;

describeEngines('private_key_jwt after a restore', (engine) => {
  test('refuses assertions from before it, and takes new ones once clocks cannot confuse the two', async () => {
    await using product = await Product.open(engine);
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const jwks = { keys: [await exportJWK(publicKey)] };
    const client = await product.service('', { token_endpoint_auth_method: 'private_key_jwt', jwks });
    const skew = product.rooms.config.signing.clock_skew / 1000;
    const seconds = () => product.clock.now() / 1000;
    const assert = (claims: JWTPayload = {}) =>
      new SignJWT({
        ...{ iss: client.id, sub: client.id, aud: ISSUER, jti: randomUUID() },
        ...{ iat: seconds(), exp: seconds() + 60, ...claims },
      })
        .setProtectedHeader({ alg: 'ES256' })
        .sign(privateKey);
    const present = async (assertion: string) => {
      const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
      const { status } = await product.post('/oauth/token', {
        ...{ grant_type: 'client_credentials', client_assertion_type: type, client_assertion: assertion },
      });
      return status;
    };
    const withoutIat = (exp: number) => assert({ iat: undefined, exp } as unknown as JWTPayload);

    expect(await present(await assert())).toBe(200);
    expect(await present(await withoutIat(seconds() + 60))).toBe(200);
    const [old, oldWithout] = [
      await assert({ exp: seconds() + LONGEST_LIFETIME }),
      await withoutIat(seconds() + LONGEST_LIFETIME),
    ];
    await product.rooms.store.aftercare.begin({ now: product.clock.now(), least_epoch: 0 });
    expect(await present(old)).toBe(401);
    expect(await present(oldWithout)).toBe(401);
    product.clock.advance(skew);
    expect(await present(await assert())).toBe(401);
    product.clock.advance(1);
    expect(await present(await assert())).toBe(200);
    expect(await present(old)).toBe(401);
    // One that does not say when it was made could be as old as its end allows.
    expect(await present(await withoutIat(seconds() + LONGEST_LIFETIME - 1))).toBe(401);
    expect(await present(await withoutIat(seconds() + LONGEST_LIFETIME))).toBe(200);
  });
});
