import type { Client } from 'pg';
import type { SideConnection } from './side-connection.ts';

// What a session runs is not asked for: its text may hold values that belong in no log.
const BLOCKERS = `select pid, coalesce(nullif(application_name, ''), 'a session') as application, usename, state,
    coalesce(round(extract(epoch from clock_timestamp() - xact_start)), 0) as age
  from pg_stat_activity where pid = any (pg_blocking_pids($1)) order by pid`;

/** Sees, from a second connection, who holds what the first one waits for. */
export class LockWatch {
  readonly #client: Client;
  readonly #side: SideConnection;
  #seen: readonly string[] = [];

  constructor(client: Client, side: SideConnection) {
    this.#client = client;
    this.#side = side;
  }

  /** Who was in the way when it was last looked: `process 4711 (pg_dump, user postgres, idle in transaction for 12 s)`. */
  get seen(): readonly string[] {
    return this.#seen;
  }

  /** Looks every `interval` ms while `work` goes on. */
  async during<T>(work: () => Promise<T>, interval: number): Promise<T> {
    const pid = (this.#client as unknown as { processID: number }).processID;
    const look = () => void this.#look(pid).catch(() => undefined);
    const timer = setInterval(look, interval).unref();
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  async #look(pid: number): Promise<void> {
    const { rows } = await this.#side.query(BLOCKERS, [pid]);
    if (rows.length === 0) return;
    this.#seen = rows.map(
      ({ pid: holder, application, usename, state, age }) =>
        `process ${holder} (${application}, user ${usename}, ${state} for ${age} s)`,
    );
  }
}
