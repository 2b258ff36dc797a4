// What random input has found once, kept as it was found.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngines } from '../setup/engines.ts';
import { ADMIN_KEY } from './admin-samples.ts';
import { Range } from './range.ts';

const KEY = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };

describeEngines('input that was answered 500 once', (engine) => {
  let range: Range;
  beforeAll(async () => {
    range = await Range.open(engine);
  });
  afterAll(() => range?.[Symbol.asyncDispose]());

  async function post(path: string, body: string) {
    const target = range.targets.find((one) => one.path === path && one.route.method === 'POST')!;
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_KEY}` };
    const ours = target.listener === 'admin' ? headers : { 'content-type': 'application/json' };
    const shot = { method: 'POST', url: path, headers: ours, body: Buffer.from(body), astray: false };
    const reply = await range.fire(target, shot);
    return { status: reply.status, ...JSON.parse(reply.body) };
  }

  it('a resource whose URI has more bytes than an index of PostgreSQL takes', async () => {
    const characters = Array.from({ length: 1000 }, (_, i) =>
      String.fromCharCode(0x4e00 + ((i * 7919) % 20_000)),
    );
    const answer = await post(
      '/admin/resources',
      JSON.stringify({ uri: `https://api.example/${characters.join('')}` }),
    );
    expect(answer).toMatchObject({ status: 400, detail: expect.stringContaining('visible ASCII') });
  });

  it('JSON that can be read and not written again', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    const keys = JSON.stringify({ keys: [KEY] }).replace('}]', `,"more":${deep}}]`);
    const method = '"token_endpoint_auth_method":"private_key_jwt"';
    const body = `{"redirect_uris":["https://app.example/"],${method},"jwks":${keys}}`;
    expect(await post('/auth/oauth/register', body)).toMatchObject({
      status: 400,
      error_description: 'The body has more than 32 levels of lists and objects.',
    });
  });
});
