import { z } from 'zod';
import { closest } from '../kernel/closest.ts';
import { Failure } from '../kernel/errors.ts';

/** What is wrong with one member, so that `${member} ${text}` is a sentence. */
export interface Fault {
  /** As a programmer writes it: `redirect_uris[1]`. */
  readonly member: string;
  readonly text: string;
}

/** The body as the schema reads it; otherwise a Failure `invalid_input` that names every fault at once. */
export function readBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  throw new Failure(
    'invalid_input',
    `The request body is not valid: ${sentence(faultsOf(read.error, schema, body))}.`,
  );
}

/** `a must be a string; b is required` */
export function sentence(faults: readonly Fault[]): string {
  return faults.map(({ member, text }) => (member === '' ? text : `${member} ${text}`)).join('; ');
}

/** The issues of zod in our words. `body` is what was parsed; unknown members get the known one that was probably meant. */
export function faultsOf(error: z.ZodError, schema: z.ZodType, body: unknown): Fault[] {
  return error.issues.flatMap((issue) => {
    const member = memberName(issue.path);
    if (issue.code === 'unrecognized_keys') {
      const known = issue.path.length === 0 && schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
      return issue.keys.map((key) =>
        unknownMember(member === '' ? key : `${member}.${key}`, closest(key, known)),
      );
    }
    return [{ member: member || 'the body', text: issueText(issue, valueAt(body, issue.path)) }];
  });
}

function unknownMember(member: string, meant: string | undefined): Fault {
  return { member, text: meant ? `is not known (did you mean ${meant}?)` : 'is not known' };
}

function issueText(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined
        ? 'is required'
        : `must be ${NOUNS[issue.expected] ?? `of type ${issue.expected}`}`;
    case 'invalid_value':
      return value === undefined ? 'is required' : `must be one of ${issue.values.join(', ')}`;
    case 'too_small':
      return `must ${sizeVerb(issue.origin)} at least ${issue.minimum}${sizeUnit(issue.origin)}`;
    case 'too_big':
      return `must ${sizeVerb(issue.origin)} at most ${issue.maximum}${sizeUnit(issue.origin)}`;
    default:
      return issue.message;
  }
}

const NOUNS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function sizeVerb(origin: string): string {
  return origin === 'string' || origin === 'array' ? 'have' : 'be';
}

function sizeUnit(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' entries' : '';
}

function memberName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`;
    else name += name === '' ? String(part) : `.${String(part)}`;
  }
  return name;
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}
