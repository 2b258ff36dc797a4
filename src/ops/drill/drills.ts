import { closest } from '../../kernel/closest.ts';
import { Failure } from '../../kernel/errors.ts';
import { badMigration } from './bad-migration.ts';
import { clockJump } from './clock-jump.ts';
import { dbCorruption } from './db-corruption.ts';
import { DRILL_NAMES, type Drill } from './drill.ts';
import { hostLoss } from './host-loss.ts';
import { keyLoss } from './key-loss.ts';
import { massDelete } from './mass-delete.ts';

/** All there are, in the order in which a schedule takes them. */
export const drills: readonly Drill[] = [
  hostLoss,
  keyLoss,
  dbCorruption,
  badMigration,
  massDelete,
  clockJump,
];

/** Failures: `invalid_input`. */
export function drillNamed(name: string): Drill {
  const found = drills.find((drill) => drill.name === name);
  if (found) return found;
  const meant = closest(name, DRILL_NAMES);
  throw new Failure('invalid_input', `There is no drill "${name}".`, {
    hint: `${meant === undefined ? '' : `Did you mean ${meant}? `}Drills: ${DRILL_NAMES.join(', ')}.`,
  });
}
