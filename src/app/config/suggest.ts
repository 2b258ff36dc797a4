import { closest } from '../../kernel/closest.ts';

/** `Did you mean x?`: the key of the same name in another section, else the one with the fewest typing mistakes. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const sameName = known.filter((candidate) => lastName(candidate) === lastName(word));
  const nearest = sameName.length === 1 ? sameName[0] : closest(word, known);
  return nearest === undefined ? undefined : `Did you mean ${nearest}?`;
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
