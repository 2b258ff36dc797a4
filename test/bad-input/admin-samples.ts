// Owns requests that work for the routes of the admin API, and what they have in common with the public ones.

import { bearer, CALLBACK, PASSWORD, type Product } from '../oauth/product.ts';
import { backupSamples } from './backup-samples.ts';
import { keySamples } from './key-samples.ts';
import { reinstateSamples } from './reinstate-samples.ts';
import type { Sample, SampleMaker } from './request.ts';

export const ADMIN_KEY = 'an-admin-key-of-32-characters-or-more';

export const API = 'https://api.example/notes';

export const METADATA = {
  client_name: 'Example',
  redirect_uris: [CALLBACK],
  post_logout_redirect_uris: [CALLBACK],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
  application_type: 'web',
  scope: 'openid email',
  contacts: ['ops@example.com'],
  client_uri: 'https://app.example',
  logo_uri: 'https://app.example/logo.png',
  tos_uri: 'https://app.example/tos',
  policy_uri: 'https://app.example/policy',
};

export const KEYED = {
  redirect_uris: [CALLBACK],
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }] },
};

const admin = bearer(ADMIN_KEY);
const ADMIN_MEMBERS = {
  audiences: [API],
  require_pkce: true,
  skip_consent: false,
  access_token_lifetime: 60,
  refresh_token_lifetime: 600,
  refresh_token_absolute_lifetime: 6000,
};

async function adminUser(product: Product): Promise<Sample> {
  const { id, username } = await product.user();
  return { params: { user: Math.random() < 0.5 ? id : username }, headers: admin };
}

async function adminClient(product: Product): Promise<Sample> {
  return { params: { client_id: (await product.client()).id }, headers: admin };
}

async function adminResource(product: Product): Promise<Sample> {
  const { id, uri } = await product.resource(`https://api.example/${Math.random()}`);
  return { params: { resource: Math.random() < 0.5 ? id : uri }, headers: admin };
}

const listing: SampleMaker = async () => [{ headers: admin, query: { after: 'a', limit: '2' } }];
const onUser: SampleMaker = async (product) => [await adminUser(product)];
const onClient: SampleMaker = async (product) => [await adminClient(product)];
const onResource: SampleMaker = async (product) => [await adminResource(product)];

export const adminSamples: Readonly<Record<string, SampleMaker>> = {
  'GET /admin/users': listing,
  'GET /admin/clients': listing,
  'GET /admin/resources': listing,
  'GET /admin/audit': async () => [{ headers: admin, query: { after: '1', limit: '2' } }],
  'GET /admin/status': listing,
  'POST /admin/api-key/rotate': async () => [{ refused: true, headers: admin }],
  'POST /admin/users': async () => [
    {
      headers: admin,
      json: {
        username: `user-${Math.random()}`,
        email: `${Math.random()}@b.example`,
        email_verified: true,
        password: PASSWORD,
        profile: { name: 'A', locale: 'en' },
        if_absent: true,
      },
    },
  ],
  'GET /admin/users/:user': onUser,
  'DELETE /admin/users/:user': onUser,
  'POST /admin/users/:user/disable': onUser,
  'POST /admin/users/:user/enable': onUser,
  'POST /admin/users/:user/sessions/end': onUser,
  'PATCH /admin/users/:user': async (product) => [
    {
      ...(await adminUser(product)),
      json: {
        username: `user-${Math.random()}`,
        email: null,
        email_verified: false,
        profile: { name: 'B', locale: null },
      },
    },
  ],
  'POST /admin/users/:user/password': async (product) => [
    { ...(await adminUser(product)), json: { password: PASSWORD } },
  ],
  'POST /admin/clients': async () => [
    {
      headers: admin,
      json: {
        ...METADATA,
        ...ADMIN_MEMBERS,
        client_id: `client-${Math.random()}`,
        client_secret: 'a'.repeat(40),
        kind: 'web',
        if_absent: true,
      },
    },
    { headers: admin, json: { ...KEYED, kind: 'web' } },
  ],
  'GET /admin/clients/:client_id': onClient,
  'DELETE /admin/clients/:client_id': onClient,
  'POST /admin/clients/:client_id/disable': onClient,
  'POST /admin/clients/:client_id/enable': onClient,
  'PATCH /admin/clients/:client_id': async (product) => [
    { ...(await adminClient(product)), json: { ...METADATA, ...ADMIN_MEMBERS } },
  ],
  'POST /admin/clients/:client_id/secrets': async (product) => [
    { ...(await adminClient(product)), json: { client_secret: 'a'.repeat(40), overlap: 60 } },
  ],
  'POST /admin/resources': async () => [
    {
      headers: admin,
      json: {
        uri: `https://api.example/${Math.random()}`,
        name: 'API',
        scopes: [{ name: 'a', description: 'b' }],
        access_token_lifetime: 60,
        if_absent: true,
      },
    },
  ],
  'GET /admin/resources/:resource': onResource,
  'DELETE /admin/resources/:resource': onResource,
  'PATCH /admin/resources/:resource': async (product) => [
    {
      ...(await adminResource(product)),
      json: { name: 'B', scopes: [{ name: 'a', description: 'b' }], access_token_lifetime: null },
    },
  ],
  'POST /admin/purge': async () => [
    { headers: admin, json: { only: ['jti', 'sessions'], timeout: 5, dry_run: true } },
  ],
  'POST /admin/purge/stop': listing,
  'POST /admin/initial-access-tokens': async () => [
    { headers: admin, json: { note: 'a', uses: 2, lifetime: 60 } },
  ],

  ...keySamples,
  ...backupSamples(ADMIN_KEY),
  ...reinstateSamples,
};
