import { sha256 } from '../../kernel/bytes.ts';
import { Failure } from '../../kernel/errors.ts';
import { foundation } from './0001-foundation.ts';
import { dayTwo } from './0002-day-two.ts';
import { recovery } from './0003-recovery.ts';
import type { Fill, Migration } from './migration.ts';

/** The one numbered timeline of both engines. */
export const timeline: readonly Migration[] = [foundation, dayTwo, recovery];

/** Of everything that the step does. */
export function checksum(migration: Migration): string {
  return sha256(migration.statements.map(textOf).join(';\n'));
}

/**
 * The steps that a database elsewhere has had, as this program knows them.
 * @throws Failure `refused` when it does not: they are a newer program's, or of other content
 */
export function stepsUpTo(
  had: readonly { readonly version: number; readonly name: string; readonly checksum: string }[],
): readonly Migration[] {
  return had.map((step, index) => {
    const known = timeline[index];
    if (known?.version === step.version && checksum(known) === step.checksum) return known;
    throw new Failure('refused', `This version does not know the schema step ${nameOf(step)}.`, {
      detail: known ? 'it has a step of that number with other content' : 'it has no step of that number',
      hint: 'It was made by a newer authserver, or by one that was changed. Use that version.',
    });
  });
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
