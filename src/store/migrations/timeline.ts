import { sha256 } from '../../kernel/bytes.ts';
import { foundation } from './0001-foundation.ts';
import { dayTwo } from './0002-day-two.ts';
import type { Migration } from './migration.ts';

/** The one numbered timeline of both engines. */
export const timeline: readonly Migration[] = [foundation, dayTwo];

export function checksum(migration: Migration): string {
  return sha256(migration.statements.join(';\n'));
}
