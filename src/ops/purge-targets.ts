/** What a purge takes away, as an operator reads it. What the rows still protect is decided in store/sql/purge.ts. */
import { closest } from '../kernel/closest.ts';
import { Failure } from '../kernel/errors.ts';
import type { Tables } from '../store/records.ts';
import type { PurgeableRows, PurgeWindow } from '../store/store.ts';

/** How long rows are kept after their end, ms. */
export interface PurgeRules {
  /** How far the clock of the machine that purges may run ahead of the others'. */
  readonly margin: number;
  /** The longest that a code and an access token may live, whatever the settings said when they were issued. */
  readonly longestCode: number;
  readonly longestAccessToken: number;
  /** 0 keeps audit events for ever. */
  readonly auditRetention: number;
  /** 0 keeps unused clients for ever. */
  readonly abandonedAfter: number;
}

export interface PurgeTarget {
  /** Stable: command lines and alerts use it. */
  readonly name: string;
  readonly rows: readonly PurgeableRows[];
  readonly tables: readonly (keyof Tables)[];
  readonly goes: string;
  /** What of it stays although its time is over. */
  readonly stays: string | null;
  /** How long its rows stay after their end besides the margin, ms; undefined: the settings say that none goes. */
  keep(rules: PurgeRules): number | undefined;
}

const atOnce = () => 0;
/** How long it is known what was taken away, ms: a backup that is older brings it back. */
export const REVOCATIONS_KEPT = 400 * 86_400_000;

/** In the order in which they run: by name, but that families go when their refresh tokens are gone. */
export const purgeTargets: readonly PurgeTarget[] = [
  {
    name: 'abandoned-clients',
    rows: ['abandoned_clients'],
    tables: ['clients'],
    goes: 'clients that registered themselves and that nobody has used since `dcr.abandoned_after`',
    stays:
      'a client with a consent, a code, a token family or a stored request; one that may use client_credentials; one to which an administrator gave audiences or skip_consent, or that is disabled',
    keep: ({ abandonedAfter }) => abandonedAfter || undefined,
  },
  {
    name: 'assertion-jti',
    rows: ['assertion_jtis'],
    tables: ['assertion_jtis'],
    goes: 'ids of client assertions that have expired, clock skew included',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'audit-events',
    rows: ['audit_events'],
    tables: ['audit_events'],
    goes: 'audit events older than `audit.retention`, from the beginning of the chain',
    stays: 'an event behind a younger one',
    keep: ({ auditRetention }) => auditRetention || undefined,
  },
  {
    name: 'auth-codes',
    rows: ['auth_codes'],
    tables: ['auth_codes'],
    goes: 'authorization codes that have expired',
    stays: 'a redeemed code while the token family that it founded lives: a replay must end that family',
    keep: atOnce,
  },
  {
    name: 'authorization-requests',
    rows: ['authorization_requests'],
    tables: ['authorization_requests'],
    goes: 'stored authorization requests that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'client-secrets',
    rows: ['client_secrets'],
    tables: ['client_secrets'],
    goes: 'former client secrets that have expired',
    stays: 'a secret without an end',
    keep: atOnce,
  },
  {
    name: 'connect-pending-states',
    rows: ['connect_pending_states'],
    tables: ['connect_pending_states'],
    goes: 'states of sign-ins at upstream providers that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'device-codes',
    rows: ['device_codes'],
    tables: ['device_codes'],
    goes: 'device codes that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'dpop-nonces',
    rows: ['dpop_jtis', 'dpop_nonces'],
    tables: ['dpop_jtis', 'dpop_nonces'],
    goes: 'ids and nonces of DPoP proofs that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'initial-access-tokens',
    rows: ['initial_access_tokens'],
    tables: ['initial_access_tokens'],
    goes: 'initial access tokens that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'jti',
    rows: ['issuances_of_users'],
    tables: ['issuances'],
    goes: "records of users' access tokens that have expired",
    stays: null,
    keep: atOnce,
  },
  {
    name: 'login-failures',
    rows: ['login_failures'],
    tables: ['login_failures'],
    goes: 'counts of failed sign-ins that have expired',
    stays: 'a count whose lock is still in force',
    keep: atOnce,
  },
  {
    name: 'machine-tokens',
    rows: ['issuances_of_machines'],
    tables: ['issuances'],
    goes: 'records of access tokens of clients themselves that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'par',
    rows: ['pushed_requests'],
    tables: ['pushed_requests'],
    goes: 'pushed authorization requests that have expired',
    stays: null,
    keep: atOnce,
  },
  {
    name: 'refresh-tokens',
    rows: ['refresh_tokens'],
    tables: ['refresh_tokens'],
    goes: 'refresh tokens that have expired',
    stays: 'any token, spent or not, while its family lives: a spent one that comes back must end the family',
    keep: atOnce,
  },
  {
    name: 'revocations',
    rows: ['revocations'],
    tables: ['revocations'],
    goes: 'records of revoked access that are older than 400 days: a restore replays those that its backup lacks',
    stays: null,
    keep: () => REVOCATIONS_KEPT,
  },
  {
    name: 'sessions',
    rows: ['sessions'],
    tables: ['sessions'],
    goes: 'sessions that have expired, once no code of theirs can be redeemed any more',
    stays: 'a session while a token family that it opened lives: the next sign-in there ends or inherits it',
    keep: ({ longestCode }) => longestCode,
  },
  {
    name: 'token-families',
    rows: ['token_families'],
    tables: ['token_families'],
    goes: 'token families whose absolute end is past for longer than any access token lives, revoked or not',
    stays: 'a family that still has refresh tokens',
    keep: ({ longestAccessToken }) => longestAccessToken,
  },
  {
    name: 'verification-tokens',
    rows: ['verification_tokens'],
    tables: ['verification_tokens'],
    goes: 'tokens sent to verify an address that have expired',
    stays: null,
    keep: atOnce,
  },
];

/** Tables in which nothing runs out, and why. */
export const neverPurged: Readonly<Partial<Record<keyof Tables, string>>> = {
  users: 'people leave when an administrator removes them',
  passwords: 'go with their user',
  consents: 'are withdrawn, and do not run out',
  resources: 'are administered',
  settings: 'one row a name',
  deployment: 'one row',
  signing_keys: 'public halves verify old tokens and prove what was signed',
  private_keys: 'are retired by key rotation, never by the clock',
  data_keys: 'a lost one would make rows unreadable',
  leases: 'one row a chore',
  schema_migrations: 'one row a schema step',
};

/** Names that stand for more than one target. */
const groups: Readonly<Record<string, readonly string[]>> = { issuances: ['jti', 'machine-tokens'] };

/** The named targets in the order in which they run, all of them for null. @throws Failure `invalid_input` */
export function chooseTargets(only: readonly string[] | null): readonly PurgeTarget[] {
  if (only === null) return purgeTargets;
  const wanted = new Set(only.flatMap((name) => groups[name] ?? [name]));
  const names = purgeTargets.map(({ name }) => name);
  const unknown = [...wanted].find((name) => !names.includes(name));
  if (unknown === undefined && wanted.size > 0) return purgeTargets.filter(({ name }) => wanted.has(name));
  const meant = unknown === undefined ? undefined : closest(unknown, [...names, ...Object.keys(groups)]);
  throw new Failure(
    'invalid_input',
    unknown === undefined ? 'No target is named.' : `There is no purge target "${unknown}".`,
    {
      hint: `${meant ? `Did you mean ${meant}? ` : ''}Targets: ${[...names, ...Object.keys(groups)].join(', ')}.`,
    },
  );
}

/** What may go of a target by now; undefined where the settings say that nothing does. */
export function limitsOf(
  { keep }: PurgeTarget,
  rules: PurgeRules,
  now: number,
): Pick<PurgeWindow, 'until' | 'ended'> | undefined {
  const kept = keep(rules);
  const ended = now - rules.margin;
  return kept === undefined ? undefined : { ended, until: ended - kept };
}
