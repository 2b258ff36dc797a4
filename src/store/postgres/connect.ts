import { type Pool, types } from 'pg';
import type { Log } from '../../kernel/log.ts';
import type { Meter } from '../../kernel/metrics.ts';
import { MeteredPool } from './metered-pool.ts';

export interface PostgresOptions {
  readonly dsn: string;
  readonly maxConnections: number;
  /** ms */
  readonly connectTimeout: number;
  /** ms */
  readonly statementTimeout: number;
  /** Where changes are announced; absent: where all servers of the database hear them. An identifier. */
  readonly channel?: string;
}

const INT8 = 20;
/** How much longer, ms, than the server's own statement timeout we wait for a server that has stopped answering. */
const GRACE = 1000;

/** Our 64-bit columns hold milliseconds and counts, which a double holds exactly. */
export const typeParsers = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    return oid === INT8 ? Number : types.getTypeParser(oid, format as 'text');
  },
};

export function connectPool(options: PostgresOptions, log: Log, meter: Meter): Pool {
  const config = {
    connectionString: options.dsn,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeout,
    statement_timeout: options.statementTimeout,
    query_timeout: options.statementTimeout + GRACE,
    idle_in_transaction_session_timeout: options.statementTimeout,
    keepAlive: true,
    application_name: 'authserver',
    types: typeParsers as never,
  };
  const pool = new MeteredPool(config, meter);
  // A connection that the server closes must not end the process; the next query opens another.
  pool.on('error', (error) => log.warn({ error: error.message }, 'a database connection was lost'));
  pool.on('connect', (client) => {
    // While it is lent out the pool does not listen; whoever borrowed it learns of the loss from their query.
    client.on('error', () => {});
  });
  return pool;
}
