/** A second database of ours in a schema beside the live one, and the moment at which it takes its place. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { PostgresOptions } from './connect.ts';
import { fromPostgres } from './errors.ts';
import { besideScratch, isScratchSchema, withSearchPath } from './scratch-schema.ts';

/** What is to be swapped. */
export interface SchemaSwap {
  /** The schema with the new tables; it is gone once they are in place. */
  readonly staged: string;
  /** The schema that takes the present tables in; null where there are to be none. */
  readonly kept: string | null;
  /** The names that our tables have had in any version that this program knows. */
  readonly known: readonly string[];
  /** The present tables are a newer program's, which has tables that this one does not know: all of this role are its own. */
  readonly isNewer: boolean;
}

export interface SwapParts {
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** How long, ms, the swap is tried while others hold locks. */
  readonly patience?: number;
}

/** A session of a server on the same database. */
export interface OtherSession {
  readonly pid: number;
  /** Null over a Unix socket. */
  readonly host: string | null;
}

/** What the comment on a schema begins with that is being filled; then ms, by the clock of the database. */
const BEGUN = 'authserver restores into it since ';
const NOW = '(extract(epoch from clock_timestamp()) * 1000)::bigint';
const DAY = 24 * 60 * 60 * 1000;
const LOCK_TIMEOUT = 3000;
const PATIENCE = 60_000;
const FIRST_PAUSE = 500;
/** lock_not_available, deadlock_detected */
const NO_LOCK = new Set(['55P03', '40P01']);
const MAY_NOT = '42501';
/** A session that has just been closed is still listed for a moment, ms. */
const FAREWELL = 3000;
const LOOK_AGAIN = 100;

const OTHERS = `select pid, coalesce(client_hostname, host(client_addr)) as host from pg_stat_activity
  where datname = current_database() and application_name = any ($1)
    and pid <> pg_backend_pid() order by pid`;
const TABLES = `select tablename as name from pg_tables
  where schemaname = $1 and (tablename = any ($2) or ($3 and tableowner = current_user)) order by tablename`;
/** Rights that others have been given, as a reporting tool has. Whose the tables are is no matter of grants. */
const GRANTS = `select c.relname as name,
    format('grant %s on table %s.%I to %s', a.privilege_type, $2::text, c.relname,
      case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end) as text
  from pg_class c cross join aclexplode(c.relacl) a
  where c.relnamespace = $1::regnamespace and c.relkind = 'r' and a.grantee <> c.relowner`;
const STAGED = 'select tablename as name from pg_tables where schemaname = $1 order by tablename';

/** The same database, its tables looked for in this schema alone. */
export function inSchema(options: PostgresOptions, schema: string): PostgresOptions {
  return { ...options, dsn: withSearchPath(options.dsn, schema) };
}

/**
 * Makes a schema that is to be swapped in, and notes when: a process that is killed may leave nobody who knows of it.
 * Failures: `configuration` when the role may not, `unavailable`.
 */
export async function makeSchema(options: PostgresOptions, name: string): Promise<void> {
  await connected(options, (client) =>
    inTransaction(client, async () => {
      const { rows } = await client.query<{ now: string }>(`select ${NOW}::text as now`);
      const schema = escapeIdentifier(name);
      await client.query(`create schema ${schema}`);
      await client.query(`comment on schema ${schema} is ${escapeLiteral(`${BEGUN}${rows[0]?.now}`)}`);
    }),
  );
}

/** Drops schemas of this prefix that were made by `makeSchema` more than a day ago, and never swapped in. */
export async function sweepSchemas(options: PostgresOptions, prefix: string): Promise<void> {
  const abandoned = await connected(options, (client) =>
    namesOf(
      client,
      `select nspname as name from pg_namespace
       where starts_with(nspname, $1) and nspowner = current_user::regrole
         and starts_with(obj_description(oid, 'pg_namespace'), $2)
         and substr(obj_description(oid, 'pg_namespace'), length($2) + 1)::bigint < ${NOW} - ${DAY}`,
      [prefix, BEGUN],
    ),
  );
  for (const name of abandoned) await dropSchema(options, name);
}

/** With all that is in it. Nothing happens where there is none. */
export async function dropSchema(options: PostgresOptions, name: string): Promise<void> {
  await connected(options, async (client) => {
    await client.query('set statement_timeout = 0');
    await client.query(`drop schema if exists ${escapeIdentifier(name)} cascade`);
  });
}

export async function schemaExists(options: PostgresOptions, name: string): Promise<boolean> {
  return connected(options, async (client) => {
    const { rows } = await client.query('select 1 from pg_namespace where nspname = $1', [name]);
    return rows.length > 0;
  });
}

/** A setting of the database that the options lead to; undefined where it has none, or no such table. */
export async function settingIn(options: PostgresOptions, name: string): Promise<string | undefined> {
  return connected(options, async (client) => {
    const { rows: found } = await client.query("select to_regclass('settings') is not null as yes");
    if (found[0]?.yes !== true) return undefined;
    const { rows } = await client.query<{ value: string }>('select value from settings where name = $1', [
      name,
    ]);
    return rows[0]?.value;
  });
}

/**
 * The first of `prefix1`, `prefix2` ... that no schema has. What is put aside from a scratch schema is named after that one,
 * and goes with it: nobody else knows of it when the process is killed.
 */
export async function freeSchemaName(options: PostgresOptions, prefix: string): Promise<string> {
  return connected(options, async (client) => {
    const { rows: here } = await client.query<{ schema: string | null }>('select current_schema() as schema');
    const schema = here[0]?.schema ?? '';
    const wanted = isScratchSchema(schema) ? besideScratch(schema) : prefix;
    const taken = new Set(
      await namesOf(client, 'select nspname as name from pg_namespace where starts_with(nspname, $1)', [
        wanted,
      ]),
    );
    for (let n = 1; ; n++) if (!taken.has(`${wanted}${n}`)) return `${wanted}${n}`;
  });
}

/** Servers that are connected to the database; those that are just leaving are waited for. */
export async function otherSessions(options: PostgresOptions): Promise<readonly OtherSession[]> {
  return connected(options, (client) => stayingSessions(client, serverNames(options)));
}

/** What servers with this connection string call themselves: what the string says goes before what they would say. */
function serverNames({ dsn }: PostgresOptions): readonly string[] {
  const named = new URL(dsn).searchParams.get('application_name');
  return named === null ? ['authserver', 'authserver listener'] : [named];
}

/** Tables of the schema that the settings lead to, and the bytes that they take. */
export async function presentTables(
  options: PostgresOptions,
): Promise<{ readonly names: readonly string[]; readonly bytes: number }> {
  return connected(options, async (client) => {
    const { rows } = await client.query<{ name: string; bytes: string }>(
      `select relname as name, pg_total_relation_size(oid) as bytes from pg_class
       where relnamespace = current_schema()::regnamespace and relkind = 'r' order by relname`,
    );
    return {
      names: rows.map(({ name }) => name),
      bytes: rows.reduce((sum, { bytes }) => sum + Number(bytes), 0),
    };
  });
}

/**
 * Puts the staged tables in the place of the present ones, in one transaction; nothing happens where that was done before.
 * Failures: `refused` when a server is connected, `unavailable` when a lock is never to be had, `configuration` when the
 * role may not.
 */
export async function swapSchemas(
  options: PostgresOptions,
  swap: SchemaSwap,
  { log, signal, patience = PATIENCE }: SwapParts,
): Promise<void> {
  const deadline = performance.now() + patience;
  for (let pause = FIRST_PAUSE; ; pause *= 2) {
    try {
      return await connected(options, (client) =>
        inTransaction(client, () => moveTables(client, swap, serverNames(options))),
      );
    } catch (error) {
      if (!NO_LOCK.has(codeOf(error))) throw error;
      if (signal?.aborted || performance.now() + pause > deadline) throw neverLocked(error);
      log.warn({ again_in_ms: pause }, 'a lock that the restore needs is held; trying again');
    }
    await sleep(pause);
  }
}

async function moveTables(client: Client, swap: SchemaSwap, servers: readonly string[]): Promise<void> {
  const staged = await namesOf(client, STAGED, [swap.staged]);
  // The last step of the transaction is that this schema goes: so it has happened, or somebody has removed it.
  if (staged.length === 0) return;
  const { rows } = await client.query<{ schema: string | null }>('select current_schema() as schema');
  const schema = rows[0]?.schema;
  if (typeof schema !== 'string')
    throw new Failure('refused', 'The connection finds no schema to keep its tables in.', {
      detail: 'none of those in search_path exists, or its role may not use them',
      hint: 'Make the schema, or correct search_path in storage.postgres.dsn.',
    });
  const live = escapeIdentifier(schema);
  const present = await namesOf(client, TABLES, [
    schema,
    [...new Set([...swap.known, ...staged])],
    swap.isNewer,
  ]);
  if (present.length > 0 && swap.kept === null)
    throw new Failure('refused', `The database is in use already: it has a table ${present[0]}.`, {
      hint: 'Name an empty database or schema.',
    });
  const { rows: grants } = await client.query<{ name: string; text: string }>(GRANTS, [live, live]);
  if (swap.kept !== null) {
    const kept = escapeIdentifier(swap.kept);
    await client.query(`create schema ${kept}`);
    for (const name of present) {
      await client.query(`alter table ${live}.${escapeIdentifier(name)} set schema ${kept}`);
    }
  }
  const from = escapeIdentifier(swap.staged);
  for (const name of staged) {
    await client.query(`alter table ${from}.${escapeIdentifier(name)} set schema ${live}`);
  }
  for (const { name, text } of grants) if (staged.includes(name)) await client.query(text);
  await client.query(`drop schema ${from}`);
  // With the locks in hand: a server that came meanwhile would go on writing, and lose it.
  const others = await stayingSessions(client, servers);
  if (others.length > 0) throw serversConnected(others);
}

/** Why nothing is swapped under a server that serves. */
export function serversConnected(others: readonly OtherSession[]): Failure {
  const who = others.map(({ pid, host }) => `${host ?? 'this machine'} (session ${pid})`).join(', ');
  return new Failure('refused', `Servers are connected to the database: ${who}.`, {
    hint: 'Stop them all first (systemctl stop authserver, docker compose stop, kubectl scale --replicas=0 ...), and run the command again. One that hangs: `select pg_terminate_backend(SESSION)`.',
  });
}

async function stayingSessions(client: Client, servers: readonly string[]): Promise<readonly OtherSession[]> {
  const deadline = performance.now() + FAREWELL;
  for (;;) {
    // What a transaction has seen of the statistics, it goes on seeing.
    await client.query('select pg_stat_clear_snapshot()');
    const { rows } = await client.query<OtherSession>(OTHERS, [servers]);
    if (rows.length === 0 || performance.now() > deadline) return rows;
    await sleep(LOOK_AGAIN);
  }
}

async function namesOf(client: Client, text: string, values: unknown[]): Promise<readonly string[]> {
  return (await client.query<{ name: string }>(text, values)).rows.map(({ name }) => name);
}

async function inTransaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = ${LOCK_TIMEOUT}; set local statement_timeout = 0`);
    const value = await work();
    await client.query('commit');
    return value;
  } catch (error) {
    // When the connection is gone the database rolls back by itself, and the first error tells more.
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function connected<T>(options: PostgresOptions, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: options.dsn,
    connectionTimeoutMillis: options.connectTimeout,
    application_name: 'authserver restore',
    keepAlive: true,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    if (codeOf(error) !== MAY_NOT) throw NO_LOCK.has(codeOf(error)) ? error : fromPostgres(error);
    throw new Failure('configuration', 'The role of storage.postgres.dsn may not do what a restore has to.', {
      detail: error instanceof Error ? error.message : String(error),
      hint: 'Let it own its tables and make schemas: `grant create on database NAME to ROLE`, `grant usage, create on schema NAME to ROLE`.',
      cause: error,
    });
  } finally {
    await client.end().catch(() => undefined);
  }
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code ?? '');
}

function neverLocked(cause: unknown): Failure {
  return new Failure('unavailable', 'A lock that the restore needs is held by somebody else.', {
    hint: 'Wait until that session has ended (a dump, a report), or end it with `select pg_terminate_backend(PID)`, then run the command again.',
    cause,
  });
}
