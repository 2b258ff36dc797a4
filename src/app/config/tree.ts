import path from 'node:path';
import { LONGEST_ACCESS_TOKEN, LONGEST_CODE } from '../../registry/lifetimes.ts';
import { backup, drill, recovery } from './backup.ts';
import { dataEncryption } from './data-encryption.ts';
import {
  address,
  choice,
  duration,
  type Facts,
  file,
  integer,
  list,
  network,
  optional,
  otlpHeader,
  section,
  size,
  text,
  truth,
  type Values,
} from './key.ts';
import { vaultTransit } from './vault-transit.ts';

/** Every key there is. Defaults, types, the reference in docs/ and the environment's names all come from here. */
export const tree = section('', {
  state_dir: file({
    text: 'The folder that holds everything the server keeps on this machine: database, keys, lock, admin socket. Made with mode 0700. A relative path counts from the working folder.',
    default: './data',
    example: '/var/lib/authserver',
  }),

  server: section('The public listener: the protocol and the pages that people meet.', {
    issuer: text({
      text: 'The address by which clients know this server, byte for byte as they configure it. https, except on loopback; no trailing slash, query or fragment. With port 0 in `server.address` and no issuer set, the issuer follows the port.',
      default: 'http://localhost:9000',
      example: 'https://auth.example.com',
    }),
    address: address({
      text: 'Where to listen. A port alone means 127.0.0.1; name a host, such as 0.0.0.0, to be reached from elsewhere; port 0 takes a free one.',
      default: ':9000',
      example: '0.0.0.0:9000',
    }),
    shutdown_wait: duration(
      { min: '0', max: '10m' },
      { text: 'How long requests under way may take to finish after SIGTERM or SIGINT.', default: '10s' },
    ),
    trusted_proxies: list({
      text: 'Addresses or networks of proxies whose X-Forwarded-For header is believed. Nobody else is.',
      default: [],
      example: '10.0.0.0/8, 127.0.0.1',
      item: network,
    }),
    body_limit: size(
      { min: '4KiB', max: '16MiB' },
      { text: 'The largest request body that is read.', default: '64KiB' },
    ),
    request_timeout: duration(
      { min: '1s', max: '10m' },
      { text: 'How long a client may take to send a whole request.', default: '30s' },
    ),
    allowed_origins: list({
      text: 'Browser origins that may call the endpoints meant for them (CORS); `*` for any. Cookies never take part.',
      default: ['*'],
      example: 'https://app.example.com',
    }),
  }),

  storage: section('Where rows are kept.', {
    driver: choice(['sqlite', 'postgres'], {
      text: 'SQLite is embedded and for one server; PostgreSQL is for several.',
      default: 'sqlite',
    }),
    auto_migrate: optional(
      truth({
        text: 'Whether `serve` may bring the schema up to date at start. Without it, `serve` says which steps are pending. Of a database that holds data it makes a proven backup before.',
        default: undefined,
        defaultText: '`true` on SQLite; on PostgreSQL only where there is no data yet',
      }),
    ),
    sqlite: section('', {
      path: file({
        text: 'The database file, on a local disk.',
        default: ({ stateDir }: Facts) => path.join(stateDir, 'authserver.db'),
        defaultText: '`<state_dir>/authserver.db`',
      }),
      wal: truth({
        text: 'Write-ahead log: readers and the writer do not wait for each other. Every commit is synced to disk either way.',
        default: true,
      }),
    }),
    postgres: section('', {
      dsn: optional(
        text({
          text: 'Connection string. Needed with `storage.driver: postgres`.',
          default: undefined,
          // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the configuration file
          example: 'postgres://authserver:${POSTGRES_PASSWORD}@db:5432/authserver',
          secret: true,
        }),
      ),
      max_conns: integer({ min: 1, max: 1000 }, { text: 'Connections in the pool.', default: 10 }),
      connect_timeout: duration(
        { min: '100ms', max: '5m' },
        { text: 'How long to wait for a connection.', default: '5s' },
      ),
      statement_timeout: duration(
        { min: '100ms', max: '1h' },
        { text: 'How long one statement may run.', default: '30s' },
      ),
    }),
  }),

  signing: section('The keys that sign tokens.', {
    algorithm: choice(['ES256', 'EdDSA', 'RS256'], {
      text: 'The algorithm of keys made from now on. Keys that exist keep theirs.',
      default: 'ES256',
    }),
    key_store: choice(['keyfile', 'database', 'env', 'vault_transit'], {
      text: 'Where new private keys are kept: as files, sealed in the database (needs `data_encryption`; `postgres_key` is another name of it), in the environment (`signing.key`), or in Vault or OpenBao, which they never leave. Keys that exist stay where they are; `authserver keys move` moves them.',
      default: 'keyfile',
      also: { postgres_key: 'database' },
    }),
    key_path: file({
      text: 'The folder of the `keyfile` store.',
      default: ({ stateDir }: Facts) => path.join(stateDir, 'keys'),
      defaultText: '`<state_dir>/keys`',
    }),
    key: optional(
      text({
        text: 'The private key of the key store `env`, as PEM; `\\n` may stand for a line break, and several PEM blocks may follow each other.',
        default: undefined,
        secret: true,
      }),
    ),
    key_next: optional(
      text({
        text: 'The key that the next rotation of the key store `env` takes up, written as `signing.key` is. Once it signs and the former one has retired, it may become `signing.key`.',
        default: undefined,
        secret: true,
      }),
    ),
    vault_transit: vaultTransit(
      'The transit engine of Vault or OpenBao that signs, for the key store `vault_transit`.',
      'authserver-signing',
      'The transit key. It is made by the first start where it is not there and the policy allows it. For an algorithm of another type its name and the algorithm name another key: `authserver-signing-eddsa`.',
    ),
    jwks_max_age: duration(
      { min: '1s', max: '24h' },
      {
        text: 'How long clients may cache the published keys. A new key signs only after it has been published for this long.',
        default: '5m',
      },
    ),
    clock_skew: duration(
      { min: '0', max: '10m' },
      { text: 'How far the clocks of others may be off.', default: '30s' },
    ),
  }),

  data_encryption: dataEncryption,

  keys: section('When signing keys are replaced.', {
    rotation_interval: duration(
      { min: '0', max: '3650d' },
      {
        text: 'The age at which the signing key is replaced by itself, by one server of the deployment. 0 for never. It must be longer than a new key is published before it signs.',
        default: '90d',
      },
    ),
  }),

  session: section("A person's session in a browser.", {
    max_age: duration(
      { min: '1m', max: '365d' },
      { text: 'The end of a session, however much it is used.', default: '24h' },
    ),
    idle_timeout: duration(
      { min: '1m', max: '365d' },
      { text: 'The end of a session that is not used.', default: '2h' },
    ),
  }),

  password: section('How passwords are hashed (Argon2id).', {
    memory: size({ min: '8MiB', max: '4GiB' }, { text: 'Memory of one hash.', default: '19MiB' }),
    passes: integer({ min: 1, max: 100 }, { text: 'Passes over that memory.', default: 2 }),
    parallelism: integer({ min: 1, max: 64 }, { text: 'Lanes of one hash.', default: 1 }),
    max_concurrent_hashes: integer(
      { min: 1, max: 256 },
      {
        text: 'Hashes computed at once; the others wait, so that sign-ins cannot take all memory. Each holds one of the four threads that files, DNS and RS256 signatures need too.',
        default: 2,
      },
    ),
  }),

  rate_limit: section('Limits for each source address, and for guessing passwords.', {
    enabled: truth({
      text: 'Whether requests are counted at all. Failed sign-ins are counted whatever this says; `auth_fail_max` switches that off.',
      default: true,
    }),
    requests_per_second: integer(
      { min: 1, max: 1_000_000 },
      { text: 'Requests a second that one source may keep up.', default: 100 },
    ),
    burst: integer(
      { min: 1, max: 1_000_000 },
      { text: 'Requests that one source may make at once.', default: 200 },
    ),
    auth_fail_max: integer(
      { min: 0, max: 100_000 },
      {
        text: 'Failed sign-ins to one account from one source before both wait; 0 for no limit, however often anybody guesses.',
        default: 10,
      },
    ),
    auth_fail_window: duration(
      { min: '1s', max: '24h' },
      { text: 'The time in which failures are counted together.', default: '10m' },
    ),
    auth_lockout: duration({ min: '1s', max: '24h' }, { text: 'How long they wait then.', default: '15m' }),
  }),

  admin: section('The admin API. Over the socket in the state directory it is always there.', {
    enabled: truth({ text: 'Whether the admin API listens on TCP.', default: true }),
    address: address({ text: 'Where it listens; read as `server.address` is.', default: ':9001' }),
    api_key: optional(
      text({
        text: 'The bearer key of the admin API over TCP, at least 16 characters. Where it is not set, the first start makes one, prints it once and keeps its hash.',
        default: undefined,
        defaultText: 'made at the first start',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the configuration file
        example: '${ADMIN_API_KEY}',
        secret: true,
      }),
    ),
  }),

  oauth: section('Lifetimes and defaults of the protocol. Clients may have their own.', {
    code_lifetime: duration(
      { min: '5s', max: LONGEST_CODE },
      { text: 'How long an authorization code can be redeemed.', default: '1m' },
    ),
    access_token_lifetime: duration(
      { min: '10s', max: LONGEST_ACCESS_TOKEN },
      { text: 'Of access tokens.', default: '15m' },
    ),
    id_token_lifetime: duration(
      { min: '10s', max: LONGEST_ACCESS_TOKEN },
      { text: 'Of ID tokens.', default: '15m' },
    ),
    refresh_token_lifetime: duration(
      { min: '1m', max: '3650d' },
      { text: 'Of a refresh token that is not used; each use starts it again.', default: '168h' },
    ),
    refresh_token_absolute_lifetime: duration(
      { min: '1m', max: '3650d' },
      { text: 'From the sign-in to the end of all its refresh tokens.', default: '30d' },
    ),
    refresh_retry_window: duration(
      { min: '0', max: '5m' },
      {
        text: 'How long a client that lost an answer may repeat a refresh and get the same successor; after it, a repeat is reuse and ends the grant, with all tokens that came from it. 0 for never.',
        default: '10s',
      },
    ),
    default_scope: text({
      text: 'The scope of an authorization request that asks for none.',
      default: 'openid',
    }),
  }),

  dcr: section('Dynamic client registration (RFC 7591).', {
    mode: choice(['admin_only', 'open', 'approved_redirects'], {
      text: 'Who may register: holders of an initial access token, anybody, or anybody whose redirect URIs match `dcr.approved_redirects`.',
      default: 'admin_only',
    }),
    approved_redirects: list({
      text: 'Redirect URIs that may be registered in the mode `approved_redirects`, as `redirect_uris` and as `post_logout_redirect_uris`.',
      default: [],
      example: 'https://app.example.com/callback',
    }),
    default_client_scope: optional(
      text({
        text: 'The most that a client which registers without a scope may ask for; where absent, whatever its users consent to.',
        default: undefined,
        example: 'openid profile',
      }),
    ),
    abandoned_after: duration(
      { min: '0', max: '3650d' },
      {
        text: 'How long a client that registered itself stays when nobody uses it; the purge takes it away then. 0 for ever.',
        default: '30d',
      },
    ),
  }),

  client_credentials: section('Tokens that a client gets for itself.', {
    enabled: truth({ text: 'Whether the grant is offered.', default: true }),
    access_token_lifetime: duration(
      { min: '10s', max: LONGEST_ACCESS_TOKEN },
      { text: 'Of these tokens.', default: '1h' },
    ),
  }),

  audit: section('What happened, and who did it.', {
    retention: duration(
      { min: '0', max: '36500d' },
      {
        text: 'How long audit events are kept; the purge takes older ones away from the beginning of the chain. 0 for ever.',
        default: '365d',
      },
    ),
  }),

  purge: section(
    'What has run out is taken away while the server serves; `authserver purge` does it at once.',
    {
      enabled: truth({
        text: 'Whether the server purges by itself. One of several servers on one database does.',
        default: true,
      }),
      interval: duration(
        { min: '1s', max: '20d' },
        {
          text: 'Time between two purges, a tenth more or less. One is left out where another purge of everything has ended less than half of it ago.',
          default: '1h',
        },
      ),
    },
  ),

  backup,

  recovery,

  drill,

  observability: section('What the server tells about itself.', {
    logging: section('', {
      level: choice(['debug', 'info', 'warn', 'error'], {
        text: 'The least that is logged.',
        default: 'info',
      }),
      format: choice(['json', 'text'], {
        text: 'One JSON object a line, or lines for people.',
        default: ({ terminal }: Facts) => (terminal ? 'text' : 'json'),
        defaultText: '`text` on a terminal, `json` otherwise',
      }),
      output: choice(['stdout', 'stderr'], {
        text: 'Where log lines go. Standard output otherwise carries only what commands answer.',
        default: 'stderr',
      }),
    }),
    metrics: section('', {
      provider: choice(['prometheus', 'otel', 'both', 'none'], {
        text: 'How numbers leave the server: scraped by Prometheus at `/metrics` of the admin listener, pushed by OTLP, or both.',
        default: 'prometheus',
      }),
      token: optional(
        text({
          text: 'What a scraper must send as a bearer token over TCP, at least 16 characters. Without it the numbers, which name nobody, are open to whoever reaches the admin listener. The key of the admin API is never asked for: it would let a monitoring system do everything.',
          default: undefined,
          defaultText: 'none: `/metrics` is open',
          // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the configuration file
          example: '${METRICS_TOKEN}',
          secret: true,
        }),
      ),
      otlp: section('', {
        endpoint: text({
          text: 'The collector, for OTLP over HTTP with protobuf; metrics go to `/v1/metrics` below it. `OTEL_EXPORTER_OTLP_ENDPOINT` is read where this is not set.',
          default: 'http://localhost:4318',
          example: 'https://otel.example.com',
        }),
        headers: list({
          text: 'Headers of each push as `name=value`, the value percent-encoded. `OTEL_EXPORTER_OTLP_HEADERS` is read where this is not set.',
          default: [],
          item: otlpHeader,
          secret: true,
        }),
        interval: duration({ min: '1s', max: '1h' }, { text: 'Time between two pushes.', default: '60s' }),
        timeout: duration(
          { min: '100ms', max: '5m' },
          { text: 'How long one push may take, all its tries included.', default: '10s' },
        ),
      }),
    }),
  }),
});

/** The effective settings: durations in milliseconds, sizes in bytes, paths absolute. */
export type Config = Values<typeof tree>;
