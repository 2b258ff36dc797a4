import type { Client, QueryResult } from 'pg';

/** A second connection, for what has to go on while the first one is busy. One question at a time, each in its turn. */
export class SideConnection {
  readonly #client: Client;
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: Client) {
    this.#client = client;
  }

  query(text: string, values: unknown[] = []): Promise<QueryResult> {
    const answer = this.#last.then(() => this.#client.query(text, values));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#client.end();
  }
}
