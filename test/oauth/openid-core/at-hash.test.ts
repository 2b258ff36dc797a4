// The hash that ties an ID token to its access token, while the algorithm of the signing key changes.

import { createHash } from 'node:crypto';
import { decodeProtectedHeader } from 'jose';
import { expect, test } from 'vitest';
import { silentLog } from '../../../src/kernel/log.ts';
import { onlyStore } from '../../../src/keys/keyring.test-kit.ts';
import { openKeyring } from '../../../src/keys/keyring.ts';
import { openKeyfile } from '../../../src/keys/stores/keyfile.ts';
import { pemKeyStore } from '../../../src/keys/stores/pem-key-store.ts';
import { TokenIssuer } from '../../../src/tokens/issuer.ts';
import { describeEngines } from '../../setup/engines.ts';
import { claimsOf, ISSUER, Product } from '../product.ts';

describeEngines('at_hash (OpenID Connect Core 3.1.3.6)', (engine) => {
  test('fits the key that signs, also where another process has meanwhile changed its algorithm', async () => {
    await using product = await Product.open(engine);
    const { config, keyring, store, clock, ids } = product.rooms;
    const { timing } = keyring;
    const neighbour = await openKeyring({
      store: store.keys,
      keyStores: onlyStore(
        pemKeyStore(await openKeyfile({ folder: config.signing.key_path, clock, log: silentLog })),
      ),
      algorithm: 'EdDSA',
      timing,
      clock,
      log: silentLog,
      installationIsNew: false,
    });
    const tokens = new TokenIssuer({ issuer: ISSUER, keyring, clock, ids, idTokenLifetime: 900_000 });
    const idToken = () =>
      tokens.idToken({
        ...{ client_id: 'cli', user_id: 'usr', session_id: 'ses', nonce: null, claims: {} },
        authentication: { auth_time: clock.now(), acr: '1', amr: ['pwd'] },
        accessToken: 'an access token',
      });
    const half = (hash: string) => {
      const digest = createHash(hash).update('an access token').digest();
      return digest.subarray(0, digest.length / 2).toString('base64url');
    };
    const before = await idToken();
    expect(decodeProtectedHeader(before).alg).toBe('ES256');
    expect(claimsOf(before).at_hash).toBe(half('sha256'));

    await neighbour.rotate();
    product.clock.advance(2 * (timing.jwksMaxAge / 1000));
    await neighbour.tick();
    neighbour.close();
    const after = await idToken();
    expect(decodeProtectedHeader(after).alg).toBe('EdDSA');
    expect(claimsOf(after).at_hash).toBe(half('sha512'));
  });
});
