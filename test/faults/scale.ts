// How long the fault suite may take: AUTHSERVER_FAULTS=long raises every count.

import { isLong } from '../setup/long.ts';
import { type Fate, LOSSES, type Loss } from './forgetful-disk.ts';

/** So many times; the second number where there is time. */
export function times(modest: number, long: number): number {
  return isLong ? long : modest;
}

/** What is lost at each step of a pass: everything in turn, or where there is time each in a pass of its own. */
export function lossPasses(): readonly ((step: number) => Loss)[] {
  if (isLong) return LOSSES.map((loss) => () => loss);
  return [(step) => LOSSES[step % LOSSES.length] ?? 'nothing'];
}

/** How a disk fails at each step of a pass, in the same way. */
export function fatePasses(): readonly ((step: number) => Fate)[] {
  if (isLong) return [() => 'full', () => 'broken'];
  return [(step) => (step % 2 === 0 ? 'full' : 'broken')];
}
