import { createHash } from 'node:crypto';
import type { TableTotal } from './snapshot.ts';

/** Counts and digests the lines of one table as they pass. */
export class RunningTotal {
  readonly table: string;
  readonly #hash = createHash('sha256');
  #rows = 0;

  constructor(table: string) {
    this.table = table;
  }

  add(rows: number, lines: Uint8Array): void {
    this.#rows += rows;
    this.#hash.update(lines);
  }

  /** To be asked for once. */
  end(): TableTotal {
    return { table: this.table, rows: this.#rows, digest: this.#hash.digest('hex') };
  }
}
