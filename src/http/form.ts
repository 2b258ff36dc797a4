import { fromUtf8 } from '../kernel/bytes.ts';
import { Failure } from '../kernel/errors.ts';
import { noParams, Params } from './params.ts';

/** More than any protocol message has; a longer list only costs us memory. */
const MAX_PARAMETERS = 100;

/**
 * A body of `application/x-www-form-urlencoded` (WHATWG URL section 5.1, but strict where that one guesses).
 * Throws Failure `invalid_input` for bytes that are not UTF-8, a bad %-escape, U+0000 or more than 100 parameters.
 */
export function parseForm(bytes: Uint8Array): Params {
  const text = fromUtf8(bytes);
  if (text === undefined) throw notUtf8();
  return parse(text);
}

/** A query string without its `?`; same rules as a form. */
export function parseQuery(raw: string): Params {
  return parse(raw);
}

function parse(text: string): Params {
  if (text === '') return noParams;
  const pieces = text.split('&', MAX_PARAMETERS + 1);
  if (pieces.length > MAX_PARAMETERS) {
    throw new Failure('invalid_input', `The request has more than ${MAX_PARAMETERS} parameters.`);
  }
  const pairs: [string, string][] = [];
  for (const piece of pieces) {
    if (piece === '') continue;
    const equals = piece.indexOf('=');
    if (equals === -1) pairs.push([decode(piece), '']);
    else pairs.push([decode(piece.slice(0, equals)), decode(piece.slice(equals + 1))]);
  }
  return new Params(pairs);
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  const decoded = spaced.includes('%') ? decodeEscapes(spaced) : spaced;
  // No name or value we know holds one, and not every database can store it.
  if (decoded.includes('\0'))
    throw new Failure('invalid_input', 'A parameter contains the character U+0000.');
  return decoded;
}

function decodeEscapes(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new Failure('invalid_input', 'A parameter has a %-escape that is malformed or not UTF-8.', {
      cause,
    });
  }
}

function notUtf8(): Failure {
  return new Failure('invalid_input', 'The body is not UTF-8.', { hint: 'Encode the form as UTF-8.' });
}
