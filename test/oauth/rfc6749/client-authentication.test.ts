// Who is calling: one set of rules for every endpoint at which a client authenticates.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, writeClient } from '../../../src/registry/clients.ts';
import { secretRecord } from '../../../src/registry/new-client.ts';
import { describeEngines } from '../../setup/engines.ts';
import { type Answer, basic, type Fields, Product, SECRET } from '../product.ts';

const CHALLENGE = 'Basic realm="authserver", charset="UTF-8"';

describeEngines('client authentication (RFC 6749 section 2.3)', (engine) => {
  let product: Product;
  let byBasic: Client;
  let byPost: Client;
  let open: Client;

  beforeAll(async () => {
    product = await Product.open(engine);
    byBasic = await product.client();
    byPost = await product.client({ token_endpoint_auth_method: 'client_secret_post' });
    open = await product.client({ token_endpoint_auth_method: 'none' });
  });
  afterAll(() => product[Symbol.asyncDispose]());

  /** Asks with a code that does not exist, so that only a client that is let in hears `invalid_grant`. */
  const knock = (form: Fields, headers?: Readonly<Record<string, string>>) =>
    product.post('/oauth/token', { grant_type: 'authorization_code', code: 'none', ...form }, headers);

  const raw = (credentials: string | Buffer) => ({
    authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
  });

  /** A client with a name and a secret of its own. */
  const clientNamed = async (id: string, secret: string) => {
    const { clients } = product.rooms.store;
    const record = secretRecord({ id: product.rooms.ids.next('sec'), client_id: id, secret, now: 0 });
    await clients.create({ client: { ...writeClient(byBasic), id }, secret: record });
  };

  const admitted = [400, 'invalid_grant'];
  const refused = [401, 'invalid_client'];
  const outcome = ({ status, json }: Answer) => [status, json.error];

  test('client_secret_basic: id and secret in the Authorization header', async () => {
    expect(outcome(await knock({}, basic(byBasic.id, SECRET)))).toEqual(admitted);
  });

  test('client_secret_post: id and secret in the form', async () => {
    expect(outcome(await knock({ client_id: byPost.id, client_secret: SECRET }))).toEqual(admitted);
  });

  test('none: a public client says its id', async () => {
    expect(outcome(await knock({ client_id: open.id }))).toEqual(admitted);
  });

  test('the scheme of the Authorization header is case-insensitive (RFC 9110 section 11.1)', async () => {
    const authorization = basic(byBasic.id, SECRET).authorization.replace('Basic', 'bAsIC');
    expect(outcome(await knock({}, { authorization }))).toEqual(admitted);
  });

  test('in Basic both parts are form-urlencoded: colon, plus, percent, space and umlaut survive (section 2.3.1)', async () => {
    const [id, secret] = ['https://app:443/@x', 'a:b+c%d e%20f ü&=ß and thirty-two characters'];
    await clientNamed(id, secret);
    expect(outcome(await knock({}, basic(id, secret)))).toEqual(admitted);
    expect(outcome(await knock({}, raw(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)))).toEqual(
      admitted,
    );
    expect(outcome(await knock({}, basic(id, secret.replace('+', ' '))))).toEqual(refused);
    // Joined without being encoded, the id would end at its first colon.
    expect(outcome(await knock({}, raw(`${id}:${secret}`)))).toEqual(refused);
  });

  test('only the first colon parts id and secret', async () => {
    await clientNamed('colons', 'in:the:secret of more than 32 characters');
    const credentials = 'colons:in:the:secret+of+more+than+32+characters';
    expect(outcome(await knock({}, raw(credentials)))).toEqual(admitted);
  });

  test('a plus or a percent that was not encoded is not what was meant (section 2.3.1)', async () => {
    await clientNamed('signs', 'plus+and%25-thirty-two-characters-long');
    expect(outcome(await knock({}, raw('signs:plus+and%25-thirty-two-characters-long')))).toEqual(refused);
    expect(outcome(await knock({}, raw('signs:plus%2Band%2525-thirty-two-characters-long')))).toEqual(
      admitted,
    );
  });

  test.each<[string, string]>([
    ['nothing after the scheme', 'Basic'],
    ['another scheme', 'Bearer abc'],
    ['what is not base64', 'Basic !!!'],
    ['two values', 'Basic YTpi YTpi'],
    ['no colon', raw('client').authorization],
    ['an empty id', raw(':secret').authorization],
    ['a broken %-escape', raw('client:%zz').authorization],
    ['an escape that is not UTF-8', raw('client:%ff').authorization],
    ['bytes that are not UTF-8', raw(Buffer.from([0x61, 0x3a, 0xff, 0xfe])).authorization],
    ['U+0000 in the id', raw('cli\0ent:secret').authorization],
    ['an encoded U+0000 in the id', raw('cli%00ent:secret').authorization],
    ['an encoded U+0000 in the secret', raw('client:sec%00ret').authorization],
  ])(
    'an Authorization header with %s is invalid_client, never an error of ours',
    async (_, authorization) => {
      const answer = await knock({}, { authorization });
      expect(outcome(answer)).toEqual(refused);
      expect(answer.headers['www-authenticate']).toBe(CHALLENGE);
    },
  );

  test('U+0000 in a client_id of the form is a clear 400', async () => {
    expect(outcome(await knock({ client_id: 'cli\0ent', client_secret: SECRET }))).toEqual([
      400,
      'invalid_request',
    ]);
  });

  test('no client at all is invalid_client', async () => {
    expect(outcome(await knock({}))).toEqual(refused);
    expect(outcome(await knock({ client_secret: SECRET }))).toEqual(refused);
  });

  test('a wrong secret, an unknown client and a disabled one are told the same (section 5.2)', async () => {
    const disabled = await product.client();
    await product.setClientStatus(disabled, 'disabled');
    const [wrong, unknown, off] = [
      await knock({}, basic(byBasic.id, `${SECRET}.`)),
      await knock({}, basic('nobody', SECRET)),
      await knock({}, basic(disabled.id, SECRET)),
    ];
    expect(outcome(wrong)).toEqual(refused);
    expect([unknown.status, unknown.body, off.status, off.body]).toEqual([401, wrong.body, 401, wrong.body]);
  });

  test('401 challenges for Basic when the Authorization header was used, and only then (section 5.2)', async () => {
    const inHeader = await knock({}, basic(byBasic.id, 'wrong'));
    expect([inHeader.status, inHeader.headers['www-authenticate']]).toEqual([401, CHALLENGE]);
    const inForm = await knock({ client_id: byPost.id, client_secret: 'wrong' });
    expect([inForm.status, inForm.headers['www-authenticate']]).toEqual([401, undefined]);
  });

  test('a client uses the method that it is registered for and no other (RFC 7591 section 2)', async () => {
    const inForm = (client: Client) => ({ client_id: client.id, client_secret: SECRET });
    expect(outcome(await knock(inForm(byBasic)))).toEqual(refused);
    expect(outcome(await knock({}, basic(byPost.id, SECRET)))).toEqual(refused);
    expect(outcome(await knock(inForm(open)))).toEqual(refused);
    expect(outcome(await knock({}, basic(open.id, SECRET)))).toEqual(refused);
    expect(outcome(await knock({}, basic(open.id, '')))).toEqual(refused);
  });

  test('a confidential client does not get in by its id alone (section 3.2.1)', async () => {
    expect(outcome(await knock({ client_id: byBasic.id }))).toEqual(refused);
    expect(outcome(await knock({ client_id: byPost.id, client_secret: '' }))).toEqual(refused);
    expect(outcome(await knock({}, basic(byBasic.id, '')))).toEqual(refused);
  });

  test('two methods in one request are invalid_request (section 2.3)', async () => {
    const assertion = { client_assertion: 'a.b.c', client_assertion_type: 'urn:x' };
    const both = [400, 'invalid_request'];
    expect(outcome(await knock({ client_secret: SECRET }, basic(byBasic.id, SECRET)))).toEqual(both);
    expect(outcome(await knock(assertion, basic(byBasic.id, SECRET)))).toEqual(both);
    expect(outcome(await knock({ client_id: byPost.id, client_secret: SECRET, ...assertion }))).toEqual(both);
  });

  test('a client_id beside the Authorization header must be the same', async () => {
    expect(outcome(await knock({ client_id: byBasic.id }, basic(byBasic.id, SECRET)))).toEqual(admitted);
    expect(outcome(await knock({ client_id: byPost.id }, basic(byBasic.id, SECRET)))).toEqual(refused);
  });

  test.each(['/oauth/token', '/oauth/introspect', '/oauth/revoke'])(
    '%s refuses a wrong secret',
    async (address) => {
      const answer = await product.post(address, { token: 'x' }, basic(byBasic.id, 'wrong'));
      expect(outcome(answer)).toEqual(refused);
      expect(answer.headers['www-authenticate']).toBe(CHALLENGE);
    },
  );

  test('two secrets overlap while one replaces the other, and the former ends on the millisecond', async () => {
    const client = await product.client();
    const { clock, rooms } = product;
    const secret = 'the next secret of more than 32 characters';
    const now = clock.now();
    await rooms.store.clients.addSecret({
      secret: secretRecord({ id: rooms.ids.next('sec'), client_id: client.id, secret, now }),
      former_expire_at: now + 60_000,
    });
    const former = async () => outcome(await knock({}, basic(client.id, SECRET)));
    const latter = async () => outcome(await knock({}, basic(client.id, secret)));
    expect([await former(), await latter()]).toEqual([admitted, admitted]);
    clock.time = now + 59_999;
    expect(await former()).toEqual(admitted);
    clock.time = now + 60_000;
    expect([await former(), await latter()]).toEqual([refused, admitted]);
  });
});
