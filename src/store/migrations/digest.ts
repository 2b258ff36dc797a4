import { sha256 } from '../../kernel/bytes.ts';
import type { SchemaConnection } from './connection.ts';

/**
 * The schema as one value: equal on two databases of one engine exactly when they have the same tables, columns,
 * constraints and indexes.
 */
export async function schemaDigest(db: SchemaConnection): Promise<string> {
  return digestOfCatalog(await db.catalog());
}

export function digestOfCatalog(lines: readonly string[]): string {
  return sha256(lines.join('\n'));
}
