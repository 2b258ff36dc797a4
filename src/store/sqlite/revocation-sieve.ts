/** The revocations in the recovery log, without the database that they were made in. */
import { constants, DatabaseSync } from 'node:sqlite';
import type { Revocation } from '../records.ts';

const TABLE = 'revocations';
const COLUMNS = 'id, at, kind, user_id, client_id, subject, detail_json';

/** Takes the rows of one table out of changesets. */
export class RevocationSieve implements Disposable {
  readonly #db = new DatabaseSync(':memory:');

  /** @param schemaOf a database of this program's schema, which is only looked at */
  constructor(schemaOf: string) {
    using db = new DatabaseSync(schemaOf, { readOnly: true });
    const made = db.prepare("select sql from sqlite_schema where type = 'table' and name = ?").get(TABLE);
    this.#db.exec(String(made?.['sql']));
  }

  /** The rows that a changeset put there. What it changed in others, or took away, does not matter. */
  rowsIn(changes: Uint8Array): readonly Revocation[] {
    this.#db.applyChangeset(changes, {
      filter: (table) => table === TABLE,
      onConflict: () => constants.SQLITE_CHANGESET_OMIT,
    });
    const rows = this.#db.prepare(`select ${COLUMNS} from ${TABLE} order by id`).all();
    if (rows.length > 0) this.#db.exec(`delete from ${TABLE}`);
    return rows as unknown as readonly Revocation[];
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
