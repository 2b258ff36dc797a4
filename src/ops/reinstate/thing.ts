/**
 * ops/reinstate: single things out of a backup, beside what has gone on since: what differs, what a backup knows of one
 * thing, and how it is put back into the database that is served. It must not know where backups lie or how they are opened.
 */
import { Failure } from '../../kernel/errors.ts';

export const THING_KINDS = ['user', 'client', 'resource'] as const;
export type ThingKind = (typeof THING_KINDS)[number];

/** As somebody named it: by id; a user also by user name or address, a resource also by URI. */
export interface Thing {
  readonly kind: ThingKind;
  readonly id: string;
}

const MOST = 100;
/** Where one begins; `https://` does not. */
const BEGINNING = /^\s*[a-z]+:(?!\/\/)/;
const ONE = /^([a-z]+):(.+)$/s;

/** `user:usr_1,client:cli_2,resource:https://api.example.com`. Failures: `invalid_input`, naming what is not understood. */
export function readThings(typed: string): readonly Thing[] {
  const things = typed.split(',').reduce<string[]>(joinUris, []).map(readThing);
  if (things.length > MOST) {
    throw new Failure('invalid_input', `At most ${MOST} things are taken back at once.`, {
      hint: 'Take them back in several runs, or restore the whole backup.',
    });
  }
  return things.filter((thing, at) => at === things.findIndex((other) => isSame(thing, other)));
}

/** Failures: `invalid_input` that says which kinds there are. */
export function readKind(typed: string): ThingKind {
  const kind = THING_KINDS.find((known) => known === typed);
  if (kind !== undefined) return kind;
  throw new Failure('invalid_input', `There are no things of the kind "${typed}" in a backup.`, {
    hint: `The kinds are: ${THING_KINDS.join(', ')}.`,
  });
}

/** A URI may have commas in it. */
function joinUris(parts: readonly string[], part: string): string[] {
  const last = parts.at(-1);
  const isRest = !BEGINNING.test(part) && last?.trimStart().startsWith('resource:');
  return isRest ? [...parts.slice(0, -1), `${last},${part}`] : [...parts, part];
}

function readThing(part: string): Thing {
  const [, kind, id] = ONE.exec(part.trim()) ?? [];
  if (kind !== undefined && id !== undefined) return { kind: readKind(kind), id };
  throw new Failure('invalid_input', `"${part}" does not name a thing.`, {
    hint: `Write KIND:ID, with commas between several: user:usr_1,client:cli_2. The kinds are: ${THING_KINDS.join(', ')}.`,
  });
}

function isSame(a: Thing, b: Thing): boolean {
  return a.kind === b.kind && a.id === b.id;
}
