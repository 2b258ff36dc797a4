import { AUDIT_ACTIONS } from '../../audit/actions.ts';
import { purgeTargets } from '../../ops/purge-targets.ts';

/** A label: the values that it may have, or `few` where they are not known here but stay few. */
type LabelValues = readonly string[] | 'few';

/** One metric. Where all values of its labels are known, every series is there from the start, at 0. */
export interface MetricDescription {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly unit: 'seconds' | 'bytes' | 'none';
  readonly labels: Readonly<Record<string, LabelValues>>;
  /** Upper ends of a histogram's steps, in its unit. */
  readonly buckets?: readonly number[];
  /** The only engine that it is about. */
  readonly engine?: 'sqlite' | 'postgres';
}

type Labels = MetricDescription['labels'];

const counter = (help: string, labels: Labels = {}): MetricDescription => ({
  type: 'counter',
  help,
  unit: 'none',
  labels,
});
const secondsCounter = (help: string): MetricDescription => ({ ...counter(help), unit: 'seconds' });
const gauge = (help: string, labels: Labels = {}, unit: MetricDescription['unit'] = 'none') =>
  ({ type: 'gauge', help, unit, labels }) as const;
const seconds = (help: string, labels: Labels = {}) => gauge(help, labels, 'seconds');
const bytes = (help: string, labels: Labels = {}) => gauge(help, labels, 'bytes');
const histogram = (
  help: string,
  unit: MetricDescription['unit'],
  buckets: readonly number[],
  labels: Labels = {},
): MetricDescription => ({ type: 'histogram', help, unit, labels, buckets });

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const WAIT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const PURGE_SECONDS = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800];

const on = (engine: 'sqlite' | 'postgres', description: MetricDescription): MetricDescription => ({
  ...description,
  engine,
});

const target = purgeTargets.map(({ name }) => name);

/** Every metric there is. Rooms, the scrape, the push, the alerts, the dashboard and docs/metrics.md all go by it. */
export const metricTable: Readonly<Record<string, MetricDescription>> = {
  // What is asked of the server.
  authserver_http_requests_total: counter(
    'Requests answered, by the pattern of their route (`unmatched` where there is none) and the class of the status.',
    { listener: 'few', route: 'few', method: 'few', status: 'few' },
  ),
  authserver_http_request_duration_seconds: histogram(
    'From the moment a request is complete to its answer.',
    'seconds',
    REQUEST_SECONDS,
    { listener: 'few', route: 'few', method: 'few' },
  ),
  authserver_http_rate_limited_total: counter(
    'Requests refused because their source came too often (rate_limit.requests_per_second).',
  ),

  // What it gives, and what it refuses.
  authserver_tokens_issued_total: counter('Tokens issued, by the grant that bought them and their kind.', {
    grant_type: ['authorization_code', 'refresh_token', 'client_credentials'],
    kind: ['access_token', 'refresh_token', 'id_token'],
  }),
  authserver_oauth_errors_total: counter(
    'Errors that endpoints of the protocol answered, by route and error code; those sent to a redirect URI included.',
    { route: 'few', error: 'few' },
  ),
  authserver_refresh_token_reuse_total: counter(
    'Refresh tokens that came back after they were spent; each ended its grant (RFC 9700 section 4.14.2).',
  ),
  authserver_authorization_code_replays_total: counter(
    'Authorization codes that came back after they were spent (RFC 6749 section 4.1.2).',
  ),
  authserver_signing_failures_total: counter('Tokens that could not be signed.'),

  // People.
  authserver_sign_ins_total: counter('Tries to sign in with a password, by their end.', {
    outcome: ['signed_in', 'refused', 'locked'],
  }),
  authserver_sessions_started_total: counter('Sessions started.'),
  authserver_consent_decisions_total: counter('Answers that people gave on the consent page.', {
    decision: ['granted', 'denied'],
  }),
  authserver_audit_events_total: counter('Events handed to the audit trail, by action.', {
    action: AUDIT_ACTIONS,
  }),
  authserver_audit_events_lost_total: counter(
    'Events that the audit trail could not keep; the log has them.',
  ),

  // Keys.
  authserver_signing_ready: gauge('1 while a key can sign, otherwise 0.'),
  authserver_signing_key_problems: gauge('What is wrong with the signing keys, counted; the log names it.'),
  authserver_signing_keys: gauge('Signing keys that there are or were, by state.', {
    state: ['pending', 'active', 'retiring', 'retired', 'compromised'],
  }),
  authserver_signing_key_info: gauge('1 for each key that is published.', {
    kid: 'few',
    state: 'few',
    algorithm: 'few',
    key_store: 'few',
  }),
  authserver_signing_key_age_seconds: seconds('Time since a published key was made.', {
    kid: 'few',
    state: 'few',
  }),
  authserver_signing_key_rotation_due_seconds: seconds(
    'Time until the key that signs is rotated by schedule (keys.rotation_interval); 0 when it is due.',
  ),
  authserver_signing_key_activation_seconds: seconds(
    'Time until a pending key begins to sign; below 0 when it is late.',
    { kid: 'few' },
  ),
  authserver_signing_key_retirement_seconds: seconds(
    'Time until a retiring key stops verifying; below 0 when it is late.',
    { kid: 'few' },
  ),

  authserver_key_custody_info: gauge('1; the labels say where new keys are kept and what seals them.', {
    key_store: 'few',
    data_encryption: 'few',
    master_key_id: 'few',
  }),
  authserver_data_keys: gauge('Keys that seal rows and are open here; 0 without a master key.'),

  // The schema.
  authserver_schema_version: gauge('The newest schema step that the database has.'),
  authserver_schema_pending_steps: gauge('Schema steps that this program has and the database lacks.'),

  // The database.
  authserver_database_up: gauge('1 while the database answers the way that writes go, otherwise 0.'),
  authserver_sqlite_write_queue_length: on('sqlite', gauge('Writes that wait or are being committed.')),
  authserver_sqlite_write_wait_seconds: on(
    'sqlite',
    histogram('How long the first write of a batch waited for its turn.', 'seconds', WAIT_SECONDS),
  ),
  authserver_sqlite_commit_seconds: on(
    'sqlite',
    histogram('How long a batch of writes took until it was on disk.', 'seconds', WAIT_SECONDS),
  ),
  authserver_sqlite_batch_size: on(
    'sqlite',
    histogram('Writes committed together.', 'none', [1, 2, 4, 8, 16, 32, 64, 128, 256]),
  ),
  authserver_sqlite_wal_bytes: on('sqlite', bytes('Size of the write-ahead log file.')),
  authserver_sqlite_database_bytes: on('sqlite', bytes('Size of the database file.')),
  authserver_postgres_pool_connections: on(
    'postgres',
    gauge('Connections of the pool, by what they do.', {
      state: ['idle', 'busy'],
    }),
  ),
  authserver_postgres_pool_max_connections: on(
    'postgres',
    gauge('The most connections that the pool may have.'),
  ),
  authserver_postgres_pool_waiting: on('postgres', gauge('Requests that wait for a connection.')),
  authserver_postgres_pool_wait_seconds: on(
    'postgres',
    histogram('How long it took to get a connection from the pool.', 'seconds', WAIT_SECONDS),
  ),

  // The purge.
  authserver_purge_rows_total: counter('Rows that this process purged, by target.', { target }),
  authserver_purge_failures_total: counter('Targets that a purge in this process failed at.', { target }),
  authserver_purge_duration_seconds: histogram('How long a target took.', 'seconds', PURGE_SECONDS, {
    target,
  }),
  authserver_purge_last_run_age_seconds: seconds(
    'Time since a purge of all targets was last completed, by whichever process, or since the installation was made.',
  ),
  authserver_purge_backlog_seconds: seconds(
    'How long the oldest row that may go has been due, by target; 0 when there is none.',
    { target },
  ),

  // Backups.
  authserver_backups_total: counter(
    'Backups that this process made or tried to: `verified`, `made` (not tried), `failed`, `interrupted`.',
    { outcome: ['verified', 'made', 'failed', 'interrupted'] },
  ),
  authserver_backup_duration_seconds: histogram(
    'How long a backup took, with its proof.',
    'seconds',
    PURGE_SECONDS,
  ),
  authserver_backup_verified_age_seconds: seconds(
    'Time since the last verified backup was begun, by whichever process, or since the installation was made.',
  ),
  authserver_backup_size_bytes: bytes('The archive of the last verified backup; 0 before there is one.'),
  authserver_backup_rto_seconds: seconds(
    'How long a restore took when the last verified backup was tried; 0 before there is one.',
  ),

  // Drills.
  authserver_drill_passed_age_seconds: seconds(
    'Time since the last drill that has passed, or since the installation was made.',
  ),
  authserver_drill_overdue: gauge(
    '1 while drills are scheduled and none has passed within drill.max_age, otherwise 0.',
  ),
  authserver_drill_rto_seconds: seconds(
    'From the disaster to the first client that was served, in the last drill that has passed; 0 before there is one.',
  ),
  authserver_drill_rpo_seconds: seconds(
    'How much of what had been acknowledged was lost in the last drill that has passed; 0 before there is one.',
  ),

  // Point in time recovery.
  authserver_recovery_lag_seconds: seconds(
    'Age of the oldest commit that a lost disk would take along, at most; NaN where nobody can tell.',
  ),
  authserver_recovery_ready: gauge(
    '1 while the database can be taken back to the moments that it should, otherwise 0; `authserver recovery status` says why.',
  ),
  authserver_recovery_target_lag_seconds: seconds(
    'Age of the oldest commit that a backup target lacks in its recovery log, on PostgreSQL of what was taken away; 0 when it lacks none.',
    { target: 'few' },
  ),
  authserver_recovery_log_shipped_bytes_total: counter(
    'Bytes of the recovery log brought to a backup target.',
    { target: 'few' },
  ),
  authserver_recovery_log_faults_total: counter(
    'Times that the recovery log on a backup target was found to lack something or to be damaged.',
    { target: 'few' },
  ),

  // The process.
  authserver_build_info: gauge('1; the labels say what runs.', {
    version: 'few',
    node: 'few',
    storage: 'few',
  }),
  authserver_uptime_seconds: seconds('Time since the process began.'),
  authserver_process_cpu_seconds_total: secondsCounter('Processor time spent, all threads.'),
  authserver_process_resident_memory_bytes: bytes('Memory that the process holds.'),
  authserver_process_heap_used_bytes: bytes('Memory that objects take on the main thread.'),
  authserver_event_loop_delay_seconds: histogram(
    'How late the event loop came to a timer, looked at ten times a second.',
    'seconds',
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  ),
  authserver_metrics_source_up: gauge('1 while a source of these metrics could be asked, otherwise 0.', {
    source: 'few',
  }),
};
