/** The archiving of the write-ahead log, as SQL sees it and may change it. */
import { Client } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { ArchivingFacts } from '../archiving.ts';
import { type PostgresOptions, typeParsers } from './connect.ts';
import { fromPostgres } from './errors.ts';

/** How whoever looks names itself to the server; no server of ours bears this name. */
const APPLICATION = 'authserver recovery';

const MAY_NOT = '42501';

/** What any role may ask. A setting that a role may not see has no row in pg_settings. */
const FACTS = `
  select (extract(epoch from clock_timestamp()) * 1000)::bigint as now,
    current_setting('server_version_num')::int as version,
    (select system_identifier::text from pg_control_system()) as system_id,
    (select rolsuper from pg_roles where rolname = current_user) as superuser,
    pg_is_in_recovery() as in_recovery,
    (select setting::bigint from pg_settings where name = 'wal_segment_size') as segment_bytes,
    case when pg_is_in_recovery() then null else pg_walfile_name(pg_current_wal_lsn()) end as current_segment,
    (select json_object_agg(name, setting) from pg_settings where name in ('data_directory', 'wal_level',
      'archive_mode', 'archive_command', 'archive_library', 'archive_timeout')) as settings,
    (select bool_or(pending_restart) from pg_settings
      where name in ('wal_level', 'archive_mode')) as pending_restart,
    a.last_archived_wal, (extract(epoch from a.last_archived_time) * 1000)::bigint as last_archived_at,
    a.last_failed_wal, (extract(epoch from a.last_failed_time) * 1000)::bigint as last_failed_at,
    a.failed_count::int as failures, (extract(epoch from a.stats_reset) * 1000)::bigint as since,
    coalesce(has_function_privilege(to_regprocedure('pg_ls_archive_statusdir()'), 'execute'), false) as may_look
  from pg_stat_archiver a`;

/** A segment has 24 digits; what else is archived says nothing about how far the log has come. */
const QUEUE = `
  select count(*) filter (where name ~ '^[0-9A-F]{24}\\.ready$')::int as waiting,
    (extract(epoch from max(modification) filter (where name ~ '^[0-9A-F]{24}\\.done$')) * 1000)::bigint as closed_at
  from pg_ls_archive_statusdir()`;

interface FactsRow {
  readonly now: number;
  readonly version: number;
  readonly system_id: string;
  readonly superuser: boolean;
  readonly in_recovery: boolean;
  readonly segment_bytes: number;
  readonly current_segment: string | null;
  readonly settings: Readonly<Record<string, string>>;
  readonly pending_restart: boolean;
  readonly last_archived_wal: string | null;
  readonly last_archived_at: number;
  readonly last_failed_wal: string | null;
  readonly last_failed_at: number;
  readonly failures: number;
  readonly since: number | null;
  readonly may_look: boolean;
}

/** Failures: `unavailable`. */
export function readArchiving(options: PostgresOptions): Promise<ArchivingFacts> {
  return inServer(options, async (client) => {
    const { rows } = await client.query<FactsRow>(FACTS);
    const [row] = rows;
    if (!row) throw new TypeError('pg_stat_archiver has no row');
    const queue = row.may_look
      ? (await client.query<{ waiting: number; closed_at: number | null }>(QUEUE)).rows[0]
      : undefined;
    return factsOf(row, queue);
  });
}

/** Failures: `configuration` when the role may not, `unavailable`. */
export function alterSystem(
  options: PostgresOptions,
  settings: readonly { readonly name: string; readonly value: string }[],
): Promise<void> {
  return inServer(options, async (client) => {
    for (const { name, value } of settings) {
      await client.query(
        `alter system set ${client.escapeIdentifier(name)} = ${client.escapeLiteral(value)}`,
      );
    }
    await client.query('select pg_reload_conf()');
  });
}

/** When the last commit that a restored server has taken over was made, ms by the clock of that time; null for none. */
export function lastReplayed(options: PostgresOptions): Promise<number | null> {
  return inServer(options, async (client) => {
    const { rows } = await client.query<{ at: number | null }>(
      'select floor(extract(epoch from pg_last_xact_replay_timestamp()) * 1000)::bigint as at',
    );
    return rows[0]?.at ?? null;
  });
}

function factsOf(
  row: FactsRow,
  queue: { waiting: number; closed_at: number | null } | undefined,
): ArchivingFacts {
  const { settings } = row;
  const file = (name: string | null, at: number) => (name === null ? null : { file: name, at });
  const command = settings['archive_command'] ?? '';
  return {
    now: row.now,
    version: row.version,
    systemId: row.system_id,
    dataDirectory: settings['data_directory'] ?? null,
    superuser: row.superuser,
    inRecovery: row.in_recovery,
    walLevel: settings['wal_level'] ?? '',
    archiveMode: settings['archive_mode'] ?? 'off',
    archiveCommand: command === '(disabled)' ? '' : command,
    archiveLibrary: settings['archive_library'] ?? '',
    archiveTimeout: Number(settings['archive_timeout'] ?? 0) * 1000,
    pendingRestart: row.pending_restart,
    segmentBytes: row.segment_bytes,
    currentSegment: row.current_segment,
    archiver: {
      lastArchived: file(row.last_archived_wal, row.last_archived_at),
      lastFailed: file(row.last_failed_wal, row.last_failed_at),
      failures: row.failures,
      since: row.since ?? row.now,
    },
    queue: queue ? { waiting: queue.waiting, closedAt: queue.closed_at } : null,
  };
}

async function inServer<T>(options: PostgresOptions, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: options.dsn,
    connectionTimeoutMillis: options.connectTimeout,
    query_timeout: options.statementTimeout,
    application_name: APPLICATION,
    types: typeParsers as never,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return await work(client);
  } catch (error) {
    if ((error as { code?: string }).code !== MAY_NOT) throw fromPostgres(error);
    throw new Failure('configuration', 'The role of storage.postgres.dsn may not do that.', {
      detail: (error as Error).message,
      hint: 'Leave --apply out: the lines for an administrator of the database are printed then.',
      cause: error,
    });
  } finally {
    await client.end().catch(() => undefined);
  }
}
