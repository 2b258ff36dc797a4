import { sha256 } from '../../kernel/bytes.ts';
import { foundation } from './0001-foundation.ts';
import { dayTwo } from './0002-day-two.ts';
import type { Fill, Migration } from './migration.ts';

/** The one numbered timeline of both engines. */
export const timeline: readonly Migration[] = [foundation, dayTwo];

/** Of everything that the step does. */
export function checksum(migration: Migration): string {
  return sha256(migration.statements.map(textOf).join(';\n'));
}

/** `2 (day-two)`: how people are told of a step. */
export function nameOf({ version, name }: Pick<Migration, 'version' | 'name'>): string {
  return `${version} (${name})`;
}

function textOf(statement: string | Fill): string {
  if (typeof statement === 'string') return statement;
  const { fill, key, set, where, batch } = statement;
  return `fill ${fill} by ${key} set ${set} where ${where} batch ${batch}`;
}
