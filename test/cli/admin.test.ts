import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { adminCommands } from '../../src/cli/admin.ts';
import { runCommand } from '../setup/command.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { startServer, type TestServer } from '../setup/server.ts';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** Standard output as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json(): any;
}

async function runIn(
  env: Readonly<Record<string, string>>,
  words: readonly string[],
  typed: { readonly stdin?: string; readonly terminal?: boolean } = {},
): Promise<Ran> {
  const { code, stdout: out, stderr: err } = await runCommand(words, { env, ...typed });
  return { code, out, err, json: () => JSON.parse(out) };
}

test.each(adminCommands.map((command) => [command.name, command] as const))(
  '%s explains itself with examples that it understands',
  async (name, { examples }) => {
    const help = await runIn({}, [...name.split(' '), '--help']);
    expect(help.code).toBe(0);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(help.out).toContain(example);
    // What is understood gets as far as the settings, which this file cannot give.
    for (const example of examples) {
      const words = shellWords(example.slice(example.indexOf('authserver ') + 'authserver '.length));
      const tried = await runIn({}, [...words, '--config', '/nonexistent/authserver.yaml'], {
        stdin: 'p'.repeat(32),
      });
      expect(tried.err).toMatch(/nonexistent|Nobody is there to answer/);
    }
  },
);

function shellWords(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

describeEngines('the administrative commands', (engine) => {
  let storage: FreshStorage;
  let server: TestServer;
  const run = (line: string, typed?: { stdin?: string; terminal?: boolean }) =>
    runIn(server.env, shellWords(line), typed);
  beforeAll(async () => {
    storage = await freshStorage(engine);
    server = await startServer({ storage });
  });
  afterAll(async () => {
    await server.dispose();
    await storage.dispose();
  });

  test('a script makes a user, twice without harm', async () => {
    const line =
      'admin user create Ada --email ada@example.com --name "Ada L." --claim locale=en --if-absent --json';
    const first = await run(line, { stdin: 'correct horse\n' });
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.json()).toMatchObject({
      created: true,
      username: 'ada',
      email: 'ada@example.com',
      profile: { name: 'Ada L.', locale: 'en' },
    });
    expect((await run(line, { stdin: 'correct horse\n' })).json()).toMatchObject({
      created: false,
      id: first.json().id,
    });
    const again = await run('admin user create ada --json', { stdin: 'correct horse' });
    expect(again.code).toBe(7);
    expect(JSON.parse(again.err)).toMatchObject({ error: { code: 'conflict' } });
  });

  test('the password is taken as typed but for the last line break, and a bad one is refused', async () => {
    expect((await run('admin user create nobody', { stdin: '' })).code).toBe(2);
    expect((await run('admin user create nobody --password-stdin', { stdin: 'short' })).code).toBe(2);
    expect((await run('admin user create nobody --no-password')).code).toBe(0);
    expect((await run('admin user set-password nobody', { stdin: ' long enough \n' })).code).toBe(0);
    const piped = { stdin: 'long enough too\n', terminal: true };
    expect((await run('admin user set-password nobody --password-stdin', piped)).code).toBe(0);
    expect((await run('admin user create x --no-password --password-stdin', { stdin: 'x' })).code).toBe(2);
  });

  test('people see a table, programs see JSON', async () => {
    const table = await run('admin user list');
    const [head, ...rows] = table.out.trimEnd().split('\n');
    expect(head).toMatch(/^USER NAME +ID +E-MAIL +STATUS +CREATED$/);
    expect(rows[0]).toMatch(/^ada +usr_\S+ +ada@example.com +active +\d{4}-/);
    const { items } = (await run('admin user list --json')).json();
    expect(items.map((user: { username: string }) => user.username)).toContain('ada');
  });

  test('a user is disabled, enabled, signed out and shown', async () => {
    expect((await run('admin user disable ada --json')).json().status).toBe('disabled');
    expect((await run('admin user enable ada --json')).json().status).toBe('active');
    expect((await run('admin user end-sessions ada')).out).toBe('Ended 0 sessions of ada.\n');
    expect((await run('admin user show ada')).out).toContain('Ada L.');
    expect((await run('admin user show nobody-here')).code).toBe(6);
  });

  test('deleting asks at a terminal and needs --yes elsewhere', async () => {
    await run('admin user create leaving --no-password');
    const unasked = await run('admin user delete leaving');
    expect(unasked.code).toBe(3);
    expect(unasked.err).toContain('--yes');
    expect((await run('admin user delete leaving', { terminal: true, stdin: 'n\n' })).code).toBe(3);
    expect((await run('admin user delete leaving', { terminal: true, stdin: '\n' })).code).toBe(3);
    expect((await run('admin user show leaving')).code).toBe(0);
    const asked = await run('admin user delete leaving', { terminal: true, stdin: 'y\n' });
    expect(asked).toMatchObject({ code: 0, out: 'Deleted the user leaving.\n' });
    expect(asked.err).toContain('Delete the user leaving? [y/N]');
    expect((await run('admin user delete leaving --yes')).code).toBe(6);
  });

  test('a script makes a client with an id of its own; the secret is shown once', async () => {
    const line =
      'admin client create --id shop --name Shop --redirect-uri https://shop.example/cb --if-absent';
    const first = await run(`${line} --json`);
    expect(first.json()).toMatchObject({ created: true, client_id: 'shop', client_name: 'Shop' });
    expect(first.json().client_secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const second = await run(line);
    expect(second.out).toContain('Client shop exists already; nothing was changed.');
    expect(second.out).not.toContain('shown this once');
    expect((await run('admin client show shop --json')).out).not.toContain(first.json().client_secret);
  });

  test('every kind of client, with what each may have', async () => {
    const secret = 'a-given-secret-of-32-characters!!';
    const given = await run('admin client create --id given --kind service --secret-stdin --json', {
      stdin: `${secret}\n`,
    });
    expect(given.json()).toMatchObject({ created: true, grant_types: ['client_credentials'] });
    expect(given.out).not.toContain(secret);

    const native = await run('admin client create --kind native --redirect-uri http://127.0.0.1/cb');
    expect(native.out).not.toContain('secret is shown');
    const web = await run('admin client create --kind web --redirect-uri https://a.example/cb');
    expect(web.out).toContain('The secret is shown this once');

    const jwks = path.join(server.stateDir, 'jwks.json');
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
    await writeFile(jwks, JSON.stringify({ keys: [key] }));
    const signed = `admin client create --id signed --kind service --auth-method private_key_jwt --jwks ${jwks} --audience https://api.example --json`;
    expect((await run(signed)).json()).toMatchObject({
      jwks: { keys: [key] },
      audiences: ['https://api.example'],
    });
    expect((await run('admin client create --jwks /nonexistent.json')).code).toBe(2);

    const flags =
      'admin client create --id own --redirect-uri https://a.example/cb --skip-consent --no-require-pkce';
    expect(
      (await run(`${flags} --access-token-lifetime 10m --scope "openid email" --json`)).json(),
    ).toMatchObject({
      skip_consent: true,
      require_pkce: false,
      access_token_lifetime: 600,
      scope: 'openid email',
    });
  });

  test('a client is changed, given another secret, disabled, enabled, listed and deleted', async () => {
    const changed = await run('admin client update shop --name "New Shop" --skip-consent yes --json');
    expect(changed.json()).toMatchObject({
      client_name: 'New Shop',
      skip_consent: true,
      redirect_uris: ['https://shop.example/cb'],
    });
    expect((await run('admin client update shop')).code).toBe(2);
    expect((await run('admin client update shop --redirect-uri http://shop.example/cb')).code).toBe(2);
    const rotated = await run('admin client rotate-secret shop --overlap 1h --json');
    expect(rotated.json().client_secret).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(rotated.json().secrets).toHaveLength(2);
    expect((await run('admin client disable shop --json')).json().status).toBe('disabled');
    expect((await run('admin client enable shop --json')).json().status).toBe('active');
    expect((await run('admin client list')).out).toMatch(
      /^shop +New Shop +web +client_secret_basic +active +admin/m,
    );
    expect((await run('admin client delete shop --yes')).code).toBe(0);
    expect((await run('admin client show shop')).code).toBe(6);
  });

  test('resources come with their scopes, twice without harm', async () => {
    const line =
      'admin resource create --uri https://api.example --name API --scope "read=Read things" --scope write --if-absent --json';
    expect((await run(line)).json()).toMatchObject({
      created: true,
      scopes: [
        { name: 'read', description: 'Read things' },
        { name: 'write', description: '' },
      ],
    });
    expect((await run(line)).json().created).toBe(false);
    const changed = await run('admin resource update https://api.example --access-token-lifetime 5m --json');
    expect(changed.json()).toMatchObject({ name: 'API', access_token_lifetime: 300 });
    expect((await run('admin resource list')).out).toMatch(
      /^https:\/\/api\.example +res_\S+ +API +read write +5m/m,
    );
    expect((await run('admin resource create --name API')).code).toBe(2);
    expect((await run('admin resource delete https://api.example --yes')).code).toBe(0);
    expect((await run('admin resource show https://api.example')).code).toBe(6);
  });

  test('keys are listed and rotated', async () => {
    expect((await run('admin key list')).out).toMatch(/ES256 +active/);
    const rotated = (await run('admin key rotate --json')).json();
    expect(rotated.started).toBe(true);
    const { items } = (await run('admin key list --json')).json();
    expect(items.map(({ kid, state }: { kid: string; state: string }) => [kid, state])).toContainEqual([
      rotated.kid,
      'pending',
    ]);
  });

  test('the API key and initial access tokens are shown once', async () => {
    const key = await run('admin api-key rotate');
    expect(key.out).toMatch(/key {2}[A-Za-z0-9_-]{43}\n/);
    expect(key.out).toContain('shown this once');
    const token = (await run('admin initial-access-token create --uses 2 --lifetime 7d --json')).json();
    expect(token).toMatchObject({ uses_left: 2, note: '', scope: '' });
    const vouching = await run('admin initial-access-token create --scope notes:read');
    expect(vouching.out).toMatch(/scope {2,}notes:read\n/);
    expect((await run('admin initial-access-token create --unlimited --json')).json().uses_left).toBeNull();
    expect((await run('admin initial-access-token create --unlimited --uses 2')).code).toBe(2);
    expect((await run('admin initial-access-token create --lifetime soon')).code).toBe(2);
  });

  test('they do the same when no server runs', async () => {
    expect(await server.stop()).toBe(0);
    const made = await run('admin user create alone --no-password --json');
    expect(made.json()).toMatchObject({ created: true, username: 'alone' });
    expect((await run('admin user delete alone --yes')).code).toBe(0);
    expect((await run('admin client show signed --json')).json().audiences).toEqual(['https://api.example']);
  });
});
