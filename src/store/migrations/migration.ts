/** One step of the schema's history. Once released it is never edited: its checksum is kept in every database. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  /** SQL that both engines speak. */
  readonly statements: readonly string[];
}
