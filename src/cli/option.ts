import { parseDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import type { Option } from './command.ts';

/** `flag('--if-absent', '...')`: true when given. */
export function flag(flags: string, summary: string): Option<boolean> {
  return { flags, summary, repeatable: false, read: (typed) => typed === true };
}

/** `unless('--no-password', '...')`: false when given, true otherwise. */
export function unless(flags: string, summary: string): Option<boolean> {
  return { flags, summary, repeatable: false, read: (typed) => typed !== false };
}

/** `text('--email <address>', '...')`: the text, or undefined when not given. */
export function text(flags: string, summary: string): Option<string | undefined> {
  return { flags, summary, repeatable: false, read: last };
}

/** `list('--redirect-uri <uri>', '...')`: may be given more than once; empty when not given. */
export function list(flags: string, summary: string): Option<readonly string[]> {
  return { flags, summary, repeatable: true, read: (typed) => (Array.isArray(typed) ? typed : []) };
}

/** A whole number that is not negative, or undefined when not given. */
export function integer(flags: string, summary: string): Option<number | undefined> {
  return {
    flags,
    summary,
    repeatable: false,
    read: (typed) => {
      const value = last(typed);
      if (value === undefined) return undefined;
      if (/^\d{1,15}$/.test(value)) return Number(value);
      throw new Failure('invalid_input', `${flags} needs a whole number; "${value}" is none.`);
    },
  };
}

/** `duration('--lifetime <duration>', '...')`: seconds of `90s`, `15m`, `7d`, or undefined when not given. */
export function duration(flags: string, summary: string): Option<number | undefined> {
  return {
    flags,
    summary,
    repeatable: false,
    read: (typed) => {
      const value = last(typed);
      if (value === undefined) return undefined;
      const milliseconds = parseDuration(value);
      if (milliseconds !== undefined && milliseconds % 1000 === 0) return milliseconds / 1000;
      throw new Failure('invalid_input', `${flags} does not know "${value}".`, {
        hint: 'Write a duration in whole seconds such as 90s, 15m, 12h or 7d.',
      });
    },
  };
}

/** One of a few words, or undefined when not given. */
export function choice<const Word extends string>(
  flags: string,
  summary: string,
  words: readonly Word[],
): Option<Word | undefined> {
  return {
    flags,
    summary,
    repeatable: false,
    choices: words,
    read: (typed) => {
      const value = last(typed);
      const known = words.find((word) => word === value);
      if (value === undefined || known !== undefined) return known;
      throw new Failure('invalid_input', `${flags} does not know "${value}".`, {
        hint: `Use one of: ${words.join(', ')}.`,
      });
    },
  };
}

/** Options that are not repeatable keep what was typed last, as shells lead people to expect. */
function last(typed: readonly string[] | boolean | undefined): string | undefined {
  return Array.isArray(typed) ? typed.at(-1) : undefined;
}
