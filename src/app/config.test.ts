import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeConfig, writeYaml } from './config/print.ts';
import { ConfigurationFailure, loadConfig } from './config.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'authserver-config-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(yaml: string | undefined, env: Record<string, string> = {}) {
  const file = yaml === undefined ? undefined : path.join(folder, 'authserver.yaml');
  if (file !== undefined) await writeFile(file, yaml ?? '');
  return loadConfig({ file, env, terminal: false });
}

/** The faults, each as `path: problem`. */
async function faultsOf(yaml: string | undefined, env: Record<string, string> = {}) {
  const failure: unknown = await load(yaml, env).catch((error: unknown) => error);
  if (!(failure instanceof ConfigurationFailure)) throw new Error('the settings were accepted');
  return failure.faults;
}

describe('sources', () => {
  test('the environment wins over the file, the file over the default', async () => {
    const yaml = 'oauth: {code_lifetime: 30s, default_scope: openid email}';
    const { config, origins } = await load(yaml, { AUTHSERVER_OAUTH_CODE_LIFETIME: '45s' });
    expect(config.oauth).toMatchObject({
      code_lifetime: 45_000,
      default_scope: 'openid email',
      access_token_lifetime: 900_000,
    });
    expect(origins.get('oauth.code_lifetime')).toEqual({
      from: 'environment',
      variable: 'AUTHSERVER_OAUTH_CODE_LIFETIME',
    });
    expect(origins.get('oauth.default_scope')).toMatchObject({ from: 'file', line: 1, column: 44 });
    expect(origins.get('oauth.access_token_lifetime')).toEqual({ from: 'default' });
  });

  test('the places of files follow the state directory', async () => {
    const { config } = await load(undefined, { AUTHSERVER_STATE_DIR: folder });
    expect(config.storage.sqlite.path).toBe(path.join(folder, 'authserver.db'));
    expect(config.signing.key_path).toBe(path.join(folder, 'keys'));
  });

  test('the file may be named by a variable, and an empty variable counts for nothing', async () => {
    const file = path.join(folder, 'other.yaml');
    await writeFile(file, 'server: {issuer: "https://a.example"}');
    const env = { AUTHSERVER_CONFIG: file, AUTHSERVER_SERVER_ISSUER: '' };
    const { config } = await loadConfig({ file: undefined, env, terminal: false });
    expect(config.server.issuer).toBe('https://a.example');
  });

  test('values take variables in; two dollars keep the text', async () => {
    const yaml = `oauth: {default_scope: "openid \${MORE} $\${KEPT}"}`;
    const { config } = await load(yaml, { MORE: 'email' });
    expect(config.oauth.default_scope).toBe(`openid email \${KEPT}`);
  });

  test('an empty file, an empty section and anchors are fine', async () => {
    await load('');
    await load('server:\nstorage: {}');
    const { config } = await load(
      'oauth: {access_token_lifetime: &t 5m}\nclient_credentials: {access_token_lifetime: *t}',
    );
    expect(config.client_credentials.access_token_lifetime).toBe(300_000);
  });

  test('variables that Kubernetes makes for a service called authserver are left alone', async () => {
    await load(undefined, {
      AUTHSERVER_SERVICE_HOST: '10.0.0.1',
      AUTHSERVER_SERVICE_PORT_HTTP: '9000',
      AUTHSERVER_PORT: 'tcp://10.0.0.1:9000',
      AUTHSERVER_PORT_9000_TCP_ADDR: '10.0.0.1',
    });
  });

  test('what is printed has the same effect when read', async () => {
    const before = await load(
      'server: {issuer: "https://a.example/x"}\nsession: {max_age: 90m, idle_timeout: 1h}',
    );
    const after = await load(writeYaml(describeConfig(before)));
    expect(after.config).toEqual(before.config);
  });
});

describe('faults', () => {
  test('all are reported at once, with place, problem and hint', async () => {
    const yaml = [
      'server:',
      '  isuer: https://a.example',
      '  shutdown_wait: 15',
      'signing: {algorithm: HS256}',
    ].join('\n');
    const env = { AUTHSERVER_RATE_LIMIT_BUST: '5', AUTHSERVER_ADMIN_ADDRESS: 'nine' };
    expect(await faultsOf(yaml, env)).toEqual([
      {
        path: 'server.isuer',
        origin: { from: 'file', file: path.join(folder, 'authserver.yaml'), line: 2, column: 3 },
        problem: 'is not a known key',
        hint: 'Did you mean server.issuer?',
      },
      {
        path: 'AUTHSERVER_RATE_LIMIT_BUST',
        origin: { from: 'environment', variable: 'AUTHSERVER_RATE_LIMIT_BUST' },
        problem: 'is not a known variable',
        hint: 'Did you mean AUTHSERVER_RATE_LIMIT_BURST?',
      },
      expect.objectContaining({
        path: 'server.shutdown_wait',
        problem: 'must be a duration such as 90s, 15m, 1h30m or 7d, not 15',
      }),
      expect.objectContaining({
        path: 'signing.algorithm',
        origin: expect.objectContaining({ line: 4, column: 22 }),
        problem: 'must be one of: ES256, EdDSA, RS256, not "HS256"',
      }),
      expect.objectContaining({
        path: 'admin.address',
        origin: { from: 'environment', variable: 'AUTHSERVER_ADMIN_ADDRESS' },
      }),
    ]);
  });

  test.each([
    ['a file that is not there', undefined, '', /does not exist/],
    ['a file that is not YAML', 'server: [', '', /^is not YAML/],
    ['a key given twice', 'server: {}\nserver: {}', '', /^is not YAML: Map keys must be unique/],
    ['a text where a section belongs', 'storage: sqlite', 'storage', /must be a group of keys/],
    ['a variable that is not set', `server: {issuer: "\${NOPE}"}`, 'server.issuer', /NOPE, which is not set/],
  ])('%s', async (_, yaml, where, problem) => {
    const file = path.join(folder, 'given.yaml');
    if (yaml !== undefined) await writeFile(file, yaml);
    const failure = await loadConfig({ file, env: {}, terminal: false }).catch((error: unknown) => error);
    const [fault] = (failure as ConfigurationFailure).faults;
    expect(fault).toMatchObject({ path: where, problem: expect.stringMatching(problem) });
  });

  test.each([
    ['http://auth.example.com', /must be https/],
    ['https://auth.example.com/', /must not end with a slash/],
    ['https://auth.example.com/a?b', /no query/],
    ['https://auth.example.com#a', /no query and no fragment/],
    ['https://AUTH.example.com', /normal form/],
    ['https://auth.example.com:443', /normal form/],
    ['https://a:b@auth.example.com', /no user name/],
    ['ftp://auth.example.com', /must begin with https/],
    ['auth.example.com', /absolute URL/],
  ])('the issuer %s', async (issuer, problem) => {
    expect(await faultsOf(undefined, { AUTHSERVER_SERVER_ISSUER: issuer })).toMatchObject([
      { path: 'server.issuer', problem: expect.stringMatching(problem) },
    ]);
  });

  test.each([
    'http://localhost:9000',
    'http://127.0.0.1:8080/auth',
    'http://[::1]:9000',
    'https://a.example/tenant',
  ])('the issuer %s is fine', async (issuer) => {
    await load(undefined, { AUTHSERVER_SERVER_ISSUER: issuer });
  });

  test.each([
    ['storage.postgres.dsn', { AUTHSERVER_STORAGE_DRIVER: 'postgres' }],
    [
      'storage.postgres.dsn',
      { AUTHSERVER_STORAGE_DRIVER: 'postgres', AUTHSERVER_STORAGE_POSTGRES_DSN: 'db:5432' },
    ],
    ['session.idle_timeout', { AUTHSERVER_SESSION_MAX_AGE: '1h' }],
    ['keys.rotation_interval', { AUTHSERVER_KEYS_ROTATION_INTERVAL: '5m' }],
    [
      'keys.rotation_interval',
      { AUTHSERVER_SIGNING_JWKS_MAX_AGE: '24h', AUTHSERVER_KEYS_ROTATION_INTERVAL: '24h' },
    ],
    ['oauth.refresh_token_lifetime', { AUTHSERVER_OAUTH_REFRESH_TOKEN_ABSOLUTE_LIFETIME: '1d' }],
    ['admin.address', { AUTHSERVER_ADMIN_ADDRESS: ':9000' }],
    ['dcr.approved_redirects', { AUTHSERVER_DCR_MODE: 'approved_redirects' }],
    ['server.allowed_origins', { AUTHSERVER_SERVER_ALLOWED_ORIGINS: 'https://a.example/path' }],
    ['server.trusted_proxies', { AUTHSERVER_SERVER_TRUSTED_PROXIES: '10.0.0.0/8,proxy' }],
    ['admin.api_key', { AUTHSERVER_ADMIN_API_KEY: 'short' }],
    ['admin.api_key', { AUTHSERVER_ADMIN_API_KEY: 'changeme-changeme-changeme' }],
    ['admin.api_key', { AUTHSERVER_ADMIN_API_KEY: 'aaaaaaaaaaaaaaaaaaaaaaaa' }],
  ])('%s given %j', async (blamed, env) => {
    expect((await faultsOf(undefined, env as Record<string, string>)).map((fault) => fault.path)).toEqual([
      blamed,
    ]);
  });

  test('a secret is in no message and in no print', async () => {
    const dsn = 'mysql://authserver:hunter2@db/authserver';
    const failure = await load(undefined, {
      AUTHSERVER_STORAGE_DRIVER: 'postgres',
      AUTHSERVER_STORAGE_POSTGRES_DSN: dsn,
      AUTHSERVER_ADMIN_API_KEY: 'hunter2',
    }).catch((error: unknown) => error as ConfigurationFailure);
    expect(JSON.stringify(failure) + (failure as Error).message).not.toContain('hunter2');

    const good = await load(undefined, {
      AUTHSERVER_STORAGE_POSTGRES_DSN: dsn.replace('mysql', 'postgres'),
      AUTHSERVER_ADMIN_API_KEY: 'hunter2-hunter2-hunter2',
    });
    const described = describeConfig(good);
    expect(JSON.stringify(described) + writeYaml(described)).not.toContain('hunter2');
    expect(writeYaml(described)).toContain('# dsn: (set, from env AUTHSERVER_STORAGE_POSTGRES_DSN)');
  });
});

describe('names of other systems', () => {
  test('are read, and named in one line each', async () => {
    const { config, notices } = await load(undefined, {
      AUTHPLANE_SERVER_ISSUER: 'https://a.example',
      AUTHPLANE_SESSION_SECRET: 'unused',
      HELLOJOHN_DATABASE_URL: 'postgresql://db/hellojohn',
      HELLOJOHN_JWT_SIGNING_KEY: 'a private key',
    });
    expect(config.server.issuer).toBe('https://a.example');
    expect(config.storage).toMatchObject({
      driver: 'postgres',
      postgres: { dsn: 'postgresql://db/hellojohn' },
    });
    expect(notices).toEqual([
      'AUTHPLANE_SERVER_ISSUER is read as AUTHSERVER_SERVER_ISSUER; use that name from now on.',
      'AUTHPLANE_SESSION_SECRET has no counterpart here and is ignored.',
      'HELLOJOHN_DATABASE_URL is read as AUTHSERVER_STORAGE_POSTGRES_DSN; use that name from now on.',
      'HELLOJOHN_JWT_SIGNING_KEY is read as AUTHSERVER_SIGNING_KEY; use that name from now on.',
    ]);
    expect(config.signing).toMatchObject({ key: 'a private key', key_store: 'env' });
    expect(notices.join()).not.toContain('a private key');
  });

  test('lose against the new name, which is said', async () => {
    const { config, notices } = await load(
      'storage: {driver: sqlite, postgres: {dsn: "postgres://ours/db"}}',
      {
        AUTHSERVER_SERVER_ISSUER: 'https://new.example',
        AUTHPLANE_SERVER_ISSUER: 'https://old.example',
        DATABASE_URL: 'postgres://theirs/db',
      },
    );
    expect(config.server.issuer).toBe('https://new.example');
    expect(config.storage).toMatchObject({ driver: 'sqlite', postgres: { dsn: 'postgres://ours/db' } });
    expect(notices).toEqual([
      'AUTHPLANE_SERVER_ISSUER is ignored: server.issuer (env AUTHSERVER_SERVER_ISSUER) wins.',
      expect.stringMatching(/^DATABASE_URL is ignored: storage\.postgres\.dsn \(.*:1:\d+\) wins\.$/),
    ]);
  });

  test('may be taken into the file by hand, and then need no word', async () => {
    const yaml = `storage: {driver: postgres, postgres: {dsn: "\${DATABASE_URL}"}}`;
    const { notices } = await load(yaml, { DATABASE_URL: 'postgres://db/a' });
    expect(notices).toEqual([]);
  });

  test('the address of another kind of database is not ours', async () => {
    const { config, notices } = await load(undefined, { DATABASE_URL: 'mysql://db/shop' });
    expect(config.storage.driver).toBe('sqlite');
    expect(notices).toEqual([]);
  });
});
