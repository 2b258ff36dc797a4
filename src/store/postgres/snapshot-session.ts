import { Client, type QueryResultRow } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { databaseUnavailable } from '../sql/failures.ts';
import { type PostgresOptions, typeParsers } from './connect.ts';
import { fromPostgres } from './errors.ts';

/** How long, ms, the rest of the product may leave the transaction without a question before PostgreSQL ends it. */
const IDLE_PATIENCE = 10 * 60_000;

/** A connection with one long transaction; the limits that are set for requests do not hold for it. */
export class SnapshotSession {
  readonly #options: PostgresOptions;
  #client: Promise<Client> | undefined;
  #process = 0;
  #underway = 0;

  constructor(options: PostgresOptions) {
    this.#options = options;
  }

  async connect(): Promise<void> {
    this.#client = this.#connect();
    const [row] = await this.rows<{ process: number }>('select pg_backend_pid() as process');
    this.#process = row?.process ?? 0;
  }

  /** @param mode of the transaction */
  async begin(mode: string): Promise<void> {
    await this.run(`begin ${mode}`);
    await this.run('set local statement_timeout = 0');
    await this.run(`set local idle_in_transaction_session_timeout = ${IDLE_PATIENCE}`);
    await this.run("set local work_mem = '64MB'");
  }

  async rows<Row extends QueryResultRow>(text: string): Promise<Row[]> {
    return (await this.#query<Row>(text)).rows;
  }

  /** How many rows it changed. */
  async run(text: string, values: readonly unknown[] = []): Promise<number> {
    return (await this.#query(text, values)).rowCount ?? 0;
  }

  /** What a `copy ... to stdout` sends, in pieces that are cut anywhere. */
  async *copy(text: string): AsyncGenerator<Uint8Array> {
    this.#underway += 1;
    try {
      const client = await this.#opened();
      yield* client.query(copyTo(text));
    } catch (error) {
      throw fromPostgres(error);
    } finally {
      this.#underway -= 1;
    }
  }

  /** Ends what is under way, on the server too; what is not committed is rolled back. */
  async close(): Promise<void> {
    // May be on its way still.
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    // The server would go on with a statement until it has something to say to a client that is gone.
    if (this.#underway > 0) await this.#cancel().catch(() => {});
    await client?.end();
  }

  async #query<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []) {
    this.#underway += 1;
    try {
      const client = await this.#opened();
      return await client.query<Row>(text, [...values]);
    } catch (error) {
      throw fromPostgres(error);
    } finally {
      this.#underway -= 1;
    }
  }

  async #opened(): Promise<Client> {
    const client = await this.#client;
    if (!client) throw databaseUnavailable('the snapshot is closed');
    return client;
  }

  async #cancel(): Promise<void> {
    const other = await this.#connect();
    await other.query('select pg_cancel_backend($1)', [this.#process]);
    await other.end();
  }

  async #connect(): Promise<Client> {
    const { dsn, connectTimeout } = this.#options;
    const client = new Client({
      connectionString: dsn,
      connectionTimeoutMillis: connectTimeout,
      application_name: 'authserver snapshot',
      keepAlive: true,
      types: typeParsers as never,
    });
    // Whoever waits for an answer learns of a lost connection by that.
    client.on('error', () => {});
    await client.connect();
    return client;
  }
}
