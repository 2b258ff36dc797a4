import { Pool, types } from 'pg';
import type { Log } from '../../kernel/log.ts';

export interface PostgresOptions {
  readonly dsn: string;
  readonly maxConnections: number;
  /** ms */
  readonly connectTimeout: number;
  /** ms */
  readonly statementTimeout: number;
}

const INT8 = 20;

/** Our 64-bit columns hold milliseconds and counts, which a double holds exactly. */
const typeParsers = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    return oid === INT8 ? Number : types.getTypeParser(oid, format as 'text');
  },
};

export function connectPool(options: PostgresOptions, log: Log): Pool {
  const pool = new Pool({
    connectionString: options.dsn,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeout,
    statement_timeout: options.statementTimeout,
    idle_in_transaction_session_timeout: options.statementTimeout,
    keepAlive: true,
    application_name: 'authserver',
    types: typeParsers as never,
  });
  // A pooled connection that the server closes must not end the process; the next query opens another.
  pool.on('error', (error) => log.warn({ error: error.message }, 'a database connection was lost'));
  return pool;
}
