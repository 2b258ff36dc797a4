/** News of changes between processes: NOTIFY in the transaction of the verb, LISTEN on a connection of its own. */
import { Client } from 'pg';
import type { Log } from '../../kernel/log.ts';
import { Listeners } from '../listeners.ts';
import type { Topic } from '../store.ts';
import type { PostgresOptions } from './connect.ts';

const CHANNEL = 'authserver_changes';

/** Announces the topic `$2` on the channel `$1` when the transaction commits. */
export const NOTIFY = 'select pg_notify($1, $2)';

/** PostgreSQL knows channels by database, not by schema: a scratch database beside the live one must not be heard there. */
export function channelOf({ channel = CHANNEL }: Pick<PostgresOptions, 'channel'>): string {
  return channel;
}

/** How long, ms, to wait before the first and before every later try to connect again. */
const FIRST_DELAY = 50;
const LONGEST_DELAY = 5000;

/** Listens while somebody wants to hear; connects again, however often the connection is lost. */
export class Notifications {
  readonly #options: PostgresOptions;
  readonly #log: Log;
  readonly #listeners = new Listeners();
  #client: Client | undefined;
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  #closed = false;

  constructor(options: PostgresOptions, log: Log) {
    this.#options = options;
    this.#log = log;
  }

  watch(topic: Topic, listener: () => void): Disposable {
    const watching = this.#listeners.add(topic, listener);
    if (!this.#closed && this.#client === undefined && this.#retry === undefined) void this.#connect();
    return watching;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  async #connect(): Promise<void> {
    this.#retry = undefined;
    const client = new Client({
      connectionString: this.#options.dsn,
      connectionTimeoutMillis: this.#options.connectTimeout,
      keepAlive: true,
      application_name: 'authserver listener',
    });
    this.#client = client;
    client.on('notification', ({ payload = '' }) => this.#listeners.tell(payload));
    client.on('error', (error) => this.#lost(client, error));
    client.on('end', () => this.#lost(client, undefined));
    try {
      await client.connect();
      await client.query(`listen ${channelOf(this.#options)}`);
    } catch (error) {
      this.#lost(client, error as Error);
      return;
    }
    if (this.#failures > 0) this.#log.info({}, 'hears of changes by other servers again');
    this.#failures = 0;
    // Whatever was announced before this moment has been missed.
    if (!this.#closed) this.#listeners.tellAll();
  }

  #lost(client: Client, error: Error | undefined): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    void client.end().catch(() => undefined);
    if (this.#failures === 0)
      this.#log.warn(
        { error: error?.message },
        'does not hear of changes by other servers at once until it has connected again; it still looks for them every few seconds',
      );
    const delay = Math.min(FIRST_DELAY * 2 ** this.#failures, LONGEST_DELAY);
    this.#failures += 1;
    this.#retry = setTimeout(() => void this.#connect(), delay).unref();
  }
}
