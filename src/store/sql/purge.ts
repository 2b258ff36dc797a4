/**
 * Which rows go when they have run out, and what they still protect until then. The walks are in purge-walk.ts (along an
 * expiry), purge-audit.ts and purge-clients.ts.
 */
import type { RawBuilder, sql as raw } from 'kysely';
import type { PurgeableRows, PurgeableStore, PurgeStore } from '../store.ts';
import { lookAtAuditEvents, purgeAuditEvents } from './purge-audit.ts';
import { lookAtClients, purgeClients } from './purge-clients.ts';
import { type ExpiringRows, walkExpiry } from './purge-walk.ts';
import type { Verbs } from './verb.ts';

type Expiring = Exclude<PurgeableRows, 'audit_events' | 'abandoned_clients'>;

/** `limit 1 offset 0` keeps PostgreSQL from joining the whole other table: it looks up the few that are asked for. */
const expiring: Readonly<Record<Expiring, ExpiringRows>> = {
  assertion_jtis: { table: 'assertion_jtis', key: 'id' },
  connect_pending_states: { table: 'connect_pending_states', key: 'id' },
  dpop_jtis: { table: 'dpop_jtis', key: 'id' },
  dpop_nonces: { table: 'dpop_nonces', key: 'id' },
  device_codes: { table: 'device_codes', key: 'id' },
  pushed_requests: { table: 'pushed_requests', key: 'id' },
  verification_tokens: { table: 'verification_tokens', key: 'id' },
  authorization_requests: { table: 'authorization_requests', key: 'id' },
  initial_access_tokens: { table: 'initial_access_tokens', key: 'id' },
  client_secrets: { table: 'client_secrets', key: 'id' },
  revocations: { table: 'revocations', key: 'id', end: 'at' },
  // A setting that was lowered may leave a lock that outlasts its count.
  login_failures: {
    table: 'login_failures',
    key: 'id',
    rule: (sql, { ended }) => sql<boolean>`(locked_until is null or locked_until <= ${ended})`,
  },
  issuances_of_users: {
    table: 'issuances',
    key: 'jti',
    rule: (sql) => sql<boolean>`(user_id is not null or family_id is not null)`,
  },
  issuances_of_machines: {
    table: 'issuances',
    key: 'jti',
    rule: (sql) => sql<boolean>`user_id is null and family_id is null`,
  },
  // A code that comes back must still end what its first use founded (RFC 6749 section 4.1.2).
  auth_codes: {
    table: 'auth_codes',
    key: 'code_hash',
    rule: (sql, { ended }) => noLiveFamily(sql, sql`token_families.id = auth_codes.family_id`, ended),
  },
  // A spent token that comes back must still end its family (RFC 9700 section 4.14.2).
  refresh_tokens: {
    table: 'refresh_tokens',
    key: 'token_hash',
    rule: (sql, { ended }) => noLiveFamily(sql, sql`token_families.id = refresh_tokens.family_id`, ended),
  },
  // Its tokens go first, by steps of their own: a family that goes takes none along.
  token_families: {
    table: 'token_families',
    key: 'id',
    rule: (sql) => sql<boolean>`not exists (
      select 1 from refresh_tokens where refresh_tokens.family_id = token_families.id limit 1 offset 0)`,
  },
  // Whoever signs in next in the same browser ends or inherits what this session opened.
  sessions: {
    table: 'sessions',
    key: 'id',
    rule: (sql, { ended }) => noLiveFamily(sql, sql`token_families.session_id = sessions.id`, ended),
  },
};

/** No token family that this links to is in force. */
function noLiveFamily(sql: typeof raw, link: RawBuilder<unknown>, ended: number): RawBuilder<boolean> {
  return sql<boolean>`not exists (
      select 1 from token_families where ${link}
      and token_families.revoked_at is null and token_families.expires_at > ${ended} limit 1 offset 0)`;
}

const walks = Object.entries(expiring).map(([rows, kind]) => [rows, walkExpiry(rows, kind)] as const);

function ofEach<Verb>(pick: (walk: ReturnType<typeof walkExpiry>) => Verb): Record<Expiring, Verb> {
  return Object.fromEntries(walks.map(([rows, walk]) => [rows, pick(walk)])) as Record<Expiring, Verb>;
}

export const purge: Verbs<PurgeStore> = {
  ...ofEach(({ sweep }) => sweep),
  audit_events: purgeAuditEvents,
  abandoned_clients: purgeClients,
};

export const purgeable: Verbs<PurgeableStore> = {
  ...ofEach(({ look }) => look),
  audit_events: lookAtAuditEvents,
  abandoned_clients: lookAtClients,
};
