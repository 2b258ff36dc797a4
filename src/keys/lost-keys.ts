import { Failure } from '../kernel/errors.ts';
import type { StrayKey } from './desk.ts';
import { passingProblem } from './key-view.ts';
import { FROM_BACKUP, importCommand, RECOVER_NEW } from './recovery.ts';

/**
 * Every key that cannot be used, in one failure, with each way back.
 * @param isActive whether there is a key that should sign: a copy of it goes to its place
 */
export function lostKeys(
  problems: readonly Failure[],
  stray: readonly StrayKey[],
  isActive: boolean,
): Failure {
  const [first] = problems;
  if (first === undefined) return new Failure('unavailable', 'The signing keys have not been read yet.');
  const passing = passingProblem(problems);
  if (passing !== undefined) return passing;
  const message =
    problems.length === 1
      ? first.message
      : `${problems.length} signing keys cannot be used. ${problems.map((problem) => problem.message).join(' ')}`;
  return new Failure('configuration', message, {
    hint: [...problems.map(({ hint = '' }) => hint), ...waysBack(stray, isActive)].join(' ').trim(),
    cause: first,
  });
}

function waysBack(stray: readonly StrayKey[], isActive: boolean): readonly string[] {
  const found = stray.map(
    ({ place }) =>
      `There is a private key that the database does not know, ${place}. Where that is the key that signed here last: \`${importCommand(place)}\`. Where it may be another's, move it away.`,
  );
  return [
    ...found,
    ...(isActive ? [`Out of the newest backup, where it was kept as a file: \`${FROM_BACKUP}\`.`] : []),
    isActive
      ? 'With a copy kept elsewhere: `authserver keys import FILE`.'
      : 'With a copy kept elsewhere: `authserver keys import FILE --active-now`.',
    `When the key is lost for good: \`${RECOVER_NEW}\`.`,
  ];
}
