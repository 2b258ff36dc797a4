/** One step of the schema's history. Once released it is never edited: its checksum is kept in every database. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  /** The release that brought it. */
  readonly release: string;
  /**
   * For a step that takes something away: the step that the database must have had before this program began to migrate.
   * So a release that had that step, and lived without what goes, has run on the data.
   */
  readonly needs?: number;
  /** Text that both engines speak, in the shapes that change.ts knows. Fills and indexes on older tables go in a step of their own. */
  readonly statements: readonly (string | Fill)[];
}

/** New values for rows that exist, given in batches of bounded size while others write. */
export interface Fill {
  readonly fill: string;
  /** A unique column, whose order the batches follow. */
  readonly key: string;
  /** `name = expression`, the same each time it runs. */
  readonly set: string;
  /** The rows that lack it; a row that has been filled must not match any more. */
  readonly where: string;
  /** Rows a batch. */
  readonly batch: number;
}
