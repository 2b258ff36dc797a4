/** What people write on backups: tags, and why one is pinned. It is shown on terminals. */
import { Failure } from '../../kernel/errors.ts';

interface Kind {
  readonly name: string;
  readonly shortest: number;
  readonly longest: number;
}

export const TAG: Kind = { name: 'tag', shortest: 1, longest: 100 };
export const REASON: Kind = { name: 'reason', shortest: 0, longest: 500 };
export const MOST_TAGS = 20;

/** What is wrong with a text, as the rest of a sentence; undefined when nothing is. */
export function labelFault(text: string, { shortest, longest }: Kind): string | undefined {
  if (text.length < shortest || text.length > longest)
    return `must have ${shortest} to ${longest} characters, not ${text.length}`;
  return /\p{C}/u.test(text) ? 'must not contain control or invisible characters' : undefined;
}

/** Failures: `invalid_input`. */
export function checkLabel(text: string, kind: Kind): void {
  const fault = labelFault(text, kind);
  if (fault !== undefined) throw new Failure('invalid_input', `A ${kind.name} ${fault}.`);
}

/** Failures: `invalid_input`. */
export function checkTags(tags: readonly string[]): void {
  for (const tag of tags) checkLabel(tag, TAG);
  if (tags.length > MOST_TAGS)
    throw new Failure('invalid_input', `A backup has at most ${MOST_TAGS} tags, not ${tags.length}.`);
}
