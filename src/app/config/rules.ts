import { staysOnThisMachine } from '../../kernel/loopback.ts';
import { activatesAt } from '../../keys/lifecycle.ts';
import { backupRules } from './backup-rules.ts';
import { readHttpUrl } from './http-url.ts';
import { keyRules } from './key-rules.ts';
import type { Rule } from './rule.ts';
import type { Config } from './tree.ts';

export const rules: readonly Rule[] = [
  { about: ['server.issuer'], check: ({ server }) => issuerFault(server.issuer) },
  {
    about: ['storage.postgres.dsn', 'storage.driver'],
    check: ({ storage }) => {
      if (storage.driver !== 'postgres') return undefined;
      const dsn = storage.postgres.dsn;
      const hint = 'Write postgres://user:password@host:5432/database.';
      if (dsn === undefined) return { problem: 'is needed with storage.driver postgres', hint };
      return URL.canParse(dsn) && /^postgres(ql)?:$/.test(new URL(dsn).protocol)
        ? undefined
        : { problem: 'must be a postgres:// address', hint };
    },
  },
  { about: ['admin.api_key'], check: ({ admin }) => secretFault(admin.api_key) },
  {
    about: ['observability.metrics.token'],
    check: ({ observability }) =>
      secretFault(observability.metrics.token, 'Leave it out, or take 32 random characters.'),
  },
  {
    about: ['observability.metrics.otlp.endpoint'],
    check: ({ observability }) => {
      const { endpoint } = observability.metrics.otlp;
      if (readHttpUrl(endpoint)) return undefined;
      return {
        problem: 'must be an http:// or https:// address',
        hint: 'Write it without /v1/metrics: http://collector:4318.',
      };
    },
  },
  ordered(
    'observability.metrics.otlp.timeout',
    'observability.metrics.otlp.interval',
    ({ observability }) => [observability.metrics.otlp.timeout, observability.metrics.otlp.interval],
  ),
  {
    about: ['admin.address', 'server.address', 'admin.enabled'],
    check: ({ admin, server }) => {
      const { host, port } = server.address;
      const clash = admin.enabled && port !== 0 && admin.address.port === port && admin.address.host === host;
      return clash
        ? { problem: 'must not be the address of the public listener', hint: 'Give it a port of its own.' }
        : undefined;
    },
  },
  ...keyRules,
  ...backupRules,
  {
    about: ['keys.rotation_interval', 'signing.jwks_max_age', 'signing.clock_skew'],
    check: ({ keys, signing }) => {
      const { jwks_max_age: jwksMaxAge, clock_skew: clockSkew } = signing;
      const published = activatesAt(0, { jwksMaxAge, clockSkew });
      if (keys.rotation_interval === 0 || keys.rotation_interval > published) return undefined;
      return {
        problem: `must exceed ${published / 1000}s, the time for which a new key is published before it signs`,
        hint: 'Raise it, or lower signing.jwks_max_age; 0 switches rotation by itself off.',
      };
    },
  },
  ordered('session.idle_timeout', 'session.max_age', ({ session }) => [
    session.idle_timeout,
    session.max_age,
  ]),
  ordered('oauth.refresh_token_lifetime', 'oauth.refresh_token_absolute_lifetime', ({ oauth }) => [
    oauth.refresh_token_lifetime,
    oauth.refresh_token_absolute_lifetime,
  ]),
  ordered('oauth.access_token_lifetime', 'oauth.refresh_token_lifetime', ({ oauth }) => [
    oauth.access_token_lifetime,
    oauth.refresh_token_lifetime,
  ]),
  ordered('rate_limit.requests_per_second', 'rate_limit.burst', ({ rate_limit }) => [
    rate_limit.requests_per_second,
    rate_limit.burst,
  ]),
  {
    about: ['dcr.approved_redirects', 'dcr.mode'],
    check: ({ dcr }) =>
      dcr.mode === 'approved_redirects' && dcr.approved_redirects.length === 0
        ? {
            problem: 'must not be empty with dcr.mode approved_redirects',
            hint: 'List the redirect URIs, or choose another mode.',
          }
        : undefined,
  },
  {
    about: ['server.allowed_origins'],
    check: ({ server }) => {
      const wrong = server.allowed_origins.find((origin) => origin !== '*' && !isOrigin(origin));
      return wrong === undefined
        ? undefined
        : {
            problem: `holds "${wrong}", which is not an origin`,
            hint: 'Write https://host or https://host:port.',
          };
    },
  },
];

/** `smaller` must not be longer or larger than `larger`. */
function ordered(smaller: string, larger: string, pair: (config: Config) => readonly [number, number]): Rule {
  return {
    about: [smaller, larger],
    check: (config) => {
      const [low, high] = pair(config);
      if (low <= high) return undefined;
      return { problem: `must not exceed ${larger}`, hint: 'Lower the one or raise the other.' };
    },
  };
}

/** RFC 8414 section 2, with plain http allowed on this machine only. */
function issuerFault(issuer: string): { readonly problem: string; readonly hint: string } | undefined {
  const hint = 'Write it as clients are to know it: https://auth.example.com.';
  if (!URL.canParse(issuer)) return { problem: 'must be an absolute URL', hint };
  const url = new URL(issuer);
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return { problem: 'must begin with https://', hint };
  if (url.protocol === 'http:' && !staysOnThisMachine(url.hostname)) {
    return { problem: 'must be https, because its host is not this machine', hint };
  }
  if (issuer.endsWith('/')) return { problem: 'must not end with a slash', hint };
  if (issuer.includes('?') || issuer.includes('#'))
    return { problem: 'must have no query and no fragment', hint };
  if (url.username || url.password) return { problem: 'must hold no user name or password', hint };
  const normal = url.href.replace(/\/$/, '');
  if (normal !== issuer) return { problem: 'must be written in its normal form', hint: `That is ${normal}.` };
  return undefined;
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/** Words that people leave where a secret should be. */
const WEAK = [
  'changeme',
  'change-me',
  'change_me',
  'password',
  'secret',
  'example',
  'default',
  'adminadmin',
  '12345',
];

function secretFault(
  secret: string | undefined,
  hint = 'Leave it out and the first start makes a strong one.',
): { readonly problem: string; readonly hint: string } | undefined {
  if (secret === undefined) return undefined;
  if (secret.length < 16) return { problem: 'must have at least 16 characters', hint };
  return isEasyToGuess(secret) ? { problem: 'must not be a secret that is easy to guess', hint } : undefined;
}

/** It holds a word that people leave where a secret should be, or hardly any letters. */
export function isEasyToGuess(secret: string): boolean {
  return new Set(secret).size < 6 || WEAK.some((word) => secret.toLowerCase().includes(word));
}
