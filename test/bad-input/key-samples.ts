// Owns requests that work for the keys in the admin API, as the operator makes them.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Product } from '../oauth/product.ts';
import type { Sample, SampleMaker } from './request.ts';

/** Settings with which every verb for keys has something to do. */
export const SEALED = {
  AUTHSERVER_SIGNING_KEY_STORE: 'database',
  AUTHSERVER_DATA_ENCRYPTION_DRIVER: 'aes_master',
  AUTHSERVER_DATA_ENCRYPTION_KEY: randomBytes(32).toString('hex'),
};

const plain: SampleMaker = async () => [{ query: { after: 'a' } }];

/** A key that waits for its turn. */
async function waiting({ rooms }: Product): Promise<Sample> {
  return { params: { kid: (await rooms.keyring.rotate()).kid } };
}

function signing({ rooms }: Product): string {
  return rooms.keyring.state().signing ?? '';
}

async function privateKeys(product: Product): Promise<readonly Sample[]> {
  const { pem } = await product.rooms.keyring.management.export(signing(product));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = JSON.stringify(privateKey.export({ format: 'jwk' }));
  return [
    { json: { key: pem, passphrase: 'a', active_now: false } },
    // Tokens have been issued under another one.
    { refused: true, json: { key: jwk, active_now: true } },
  ];
}

/** A verb that takes its time, and the route that stops it. */
export const long = (path: string, json: object): Readonly<Record<string, SampleMaker>> => ({
  [`POST ${path}`]: async () => [{ json }],
  [`POST ${path}/stop`]: plain,
});

export const keySamples: Readonly<Record<string, SampleMaker>> = {
  'GET /admin/keys': plain,
  'GET /admin/keys/rotation': plain,
  'POST /admin/keys/rotate': plain,
  'POST /admin/keys/verify': plain,
  // No key is lost.
  'POST /admin/keys/recover': async () => [{ refused: true, query: { after: 'a' } }],
  'POST /admin/keys/import': privateKeys,
  'POST /admin/keys/:kid/retire': async (product) => [await waiting(product)],
  'POST /admin/keys/:kid/compromised': async (product) => [
    await waiting(product),
    { params: { kid: signing(product) } },
  ],
  'POST /admin/keys/:kid/export': async (product) => [{ params: { kid: signing(product) } }],
  ...long('/admin/keys/reencrypt', { data_keys: false }),
  ...long('/admin/keys/move', { to: 'database' }),
  ...long('/admin/keys/shares', { threshold: 2, shares: 3 }),
  ...long('/admin/keys/abandon', { master_key_id: 'aes:none' }),
  ...long('/admin/keys/master-key', {}),
};
