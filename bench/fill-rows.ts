/** The rows that databases are filled with: nine in ten have run out, a month of them. */

const MONTH = 30 * 86_400_000;
const EXPIRED = 0.9;

/** SQL that fills a migrated, empty database. */
export function fillStatements(engine: 'sqlite' | 'postgres', rows: number, now: number): readonly string[] {
  const [issuances, refresh, families, sessions, jtis] = [0.6, 0.3, 0.03, 0.03, 0.04].map((share) =>
    Math.floor(rows * share),
  ) as [number, number, number, number, number];
  const numbers = (count: number) =>
    engine === 'sqlite'
      ? `(with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${count}) select i from n) as n`
      : `(select i from generate_series(0::bigint, ${count - 1}) as g(i)) as n`;
  // Ids as ours: they begin with the time, and are 43 characters where they are hashes.
  const id = (prefix: string) =>
    engine === 'sqlite'
      ? `'${prefix}_' || printf('%010d', i) || lower(hex(randomblob(8)))`
      : `'${prefix}_' || lpad(i::text, 10, '0') || substr(md5(i::text || '${prefix}'), 1, 16)`;
  const hash =
    engine === 'sqlite'
      ? 'lower(hex(randomblob(20))) || i'
      : 'md5(i::text) || substr(md5((i + 1)::text), 1, 8) || i';
  const past = (count: number) => {
    const expired = Math.floor(count * EXPIRED);
    return `case when i < ${expired} then ${now - MONTH} + i * ${Math.floor(MONTH / expired)} else ${now + MONTH} + i end`;
  };
  return [
    `insert into users (id, username, status, profile_json, created_at, updated_at) values ('usr', 'bench', 'active', '{}', 0, 0)`,
    `insert into clients (id, name, application_type, token_endpoint_auth_method, grant_types_json, response_types_json, redirect_uris_json, post_logout_redirect_uris_json, scope, audiences_json, require_pkce, skip_consent, contacts_json, source, status, created_at, updated_at)
     values ('bench', 'bench', 'web', 'none', '[]', '[]', '[]', '[]', '', '[]', 1, 0, '[]', 'admin', 'active', 0, 0)`,
    `insert into issuances (jti, client_id, kid, issued_at, expires_at) select ${id('at')}, 'bench', 'key', 0, ${past(issuances)} from ${numbers(issuances)}`,
    `insert into token_families (id, client_id, user_id, session_id, scope, resources_json, auth_time, acr, amr_json, created_at, expires_at)
     select 'fam_' || i, 'bench', 'usr', 'ses_' || i, 'openid profile', '["https://api.example.test"]', 0, 'urn:1', '["pwd"]', 0, ${past(families)} from ${numbers(families)}`,
    `insert into refresh_tokens (token_hash, family_id, created_at, expires_at, spent_at) select ${hash}, 'fam_' || (i / ${Math.floor(refresh / families)}), 0, ${past(refresh)}, 0 from ${numbers(refresh)}`,
    `insert into sessions (id, token_hash, user_id, auth_time, acr, amr_json, ip, user_agent, created_at, last_seen_at, expires_at, absolute_expires_at)
     select 'ses_' || i, ${hash}, 'usr', 0, 'urn:1', '["pwd"]', '192.0.2.1', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', 0, 0, ${past(sessions)}, 0 from ${numbers(sessions)}`,
    `insert into assertion_jtis (id, expires_at) select ${hash}, ${past(jtis)} from ${numbers(jtis)}`,
  ];
}
