import { Failure } from '../kernel/errors.ts';
import type { StrayKey } from './desk.ts';
import { passingProblem } from './key-view.ts';
import { importCommand } from './recovery.ts';

/** Every key that cannot be used, in one failure, with each way back. */
export function lostKeys(problems: readonly Failure[], stray: readonly StrayKey[]): Failure {
  const [first] = problems;
  if (first === undefined) return new Failure('unavailable', 'The signing keys have not been read yet.');
  const passing = passingProblem(problems);
  if (passing !== undefined) return passing;
  const message =
    problems.length === 1
      ? first.message
      : `${problems.length} signing keys cannot be used. ${problems.map((problem) => problem.message).join(' ')}`;
  return new Failure('configuration', message, {
    hint: [...problems.map(({ hint = '' }) => hint), ...waysBack(stray)].join(' ').trim(),
    cause: first,
  });
}

function waysBack(stray: readonly StrayKey[]): readonly string[] {
  const found = stray.map(
    ({ place }) =>
      `There is a private key that the database does not know; to sign with that: \`${importCommand(place)}\`.`,
  );
  return [
    ...found,
    'With a copy kept elsewhere: `authserver keys import FILE`.',
    'When the key is lost for good: `authserver keys recover --new`.',
  ];
}
