// Owns the ways in which a request can be wrong: each wound takes a request that works and damages one part of it.

import fc from 'fast-check';
import {
  bytes,
  encoded,
  HEADERS,
  headerText,
  jsonText,
  METHODS,
  rawName,
  rawValue,
  TYPES,
  text,
} from './poison.ts';
import type { Draft, Pair } from './request.ts';

export type Wound = (draft: Draft) => void;

const spoil = fc.tuple(fc.nat(), rawValue, jsonText).map(
  ([at, raw, json]): Wound =>
    (draft) => {
      if (draft.members?.length) replace(draft.members, at, json);
      else replace(pairsOf(draft), at, raw);
    },
);

/** Good as it begins: what looks at the beginning alone is taken in. */
const extend = fc.tuple(fc.nat(), text).map(
  ([at, suffix]): Wound =>
    (draft) => {
      const pairs = draft.members ?? pairsOf(draft);
      const [, value = ''] = pairs[at % Math.max(pairs.length, 1)] ?? [];
      replace(pairs, at, draft.members ? extended(value, suffix) : value + encoded(suffix));
    },
);

const drop = fc.nat().map(
  (at): Wound =>
    (draft) => {
      const pairs = draft.members ?? pairsOf(draft);
      if (pairs.length > 0) pairs.splice(at % pairs.length, 1);
    },
);

const repeat = fc.tuple(fc.nat(), fc.option(rawValue), fc.option(jsonText)).map(
  ([at, raw, json]): Wound =>
    (draft) => {
      const pairs = draft.members ?? pairsOf(draft);
      const [name, value] = pairs[at % Math.max(pairs.length, 1)] ?? ['a', '1'];
      pairs.push([name, (draft.members ? json : raw) ?? value]);
    },
);

const add = fc.tuple(rawName, rawValue, jsonText).map(
  ([name, raw, json]): Wound =>
    (draft) => {
      if (draft.members) draft.members.push([JSON.stringify(name), json]);
      else pairsOf(draft).push([name, raw]);
    },
);

const query = fc
  .oneof(
    rawValue,
    fc.constantFrom(
      'limit=0',
      'limit=1e9',
      'after=%00',
      'after=-1',
      'after=9223372036854775808',
      'limit=5&limit=6',
      'a&'.repeat(200),
      'request=%00',
      'notice=__proto__',
    ),
  )
  .map(
    (raw): Wound =>
      (draft) => {
        const [name = '', value = ''] = raw.split('=', 2);
        draft.query.push([name, value]);
      },
  );

const path = fc
  .tuple(
    fc.nat(),
    fc.oneof(rawValue, fc.constantFrom('..', '.', '%2f', '%2e%2e', 'a/b', '%', 'a'.repeat(600))),
  )
  .map(
    ([at, raw]): Wound =>
      (draft) => {
        draft.astray = true;
        const names = [...draft.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
        const name = names[at % Math.max(names.length, 1)];
        if (name) draft.params[name] = raw;
        else draft.path += raw.startsWith('?') ? '' : `/${raw}`;
      },
  );

const body = bytes.map(
  (value): Wound =>
    (draft) => {
      draft.body = value;
    },
);

const cut = fc.nat().map(
  (at): Wound =>
    (draft) => {
      const whole = Buffer.from((draft.form ?? draft.members ?? []).flat().join('"'));
      draft.body = whole.subarray(0, at % (whole.length + 1));
    },
);

const contentType = fc.constantFrom(...TYPES).map(
  (type): Wound =>
    (draft) => {
      draft.headers['content-type'] = type;
    },
);

const header = fc.tuple(fc.constantFrom(...HEADERS), headerText).map(
  ([name, value]): Wound =>
    (draft) => {
      draft.headers[name] = value;
    },
);

const method = fc.constantFrom(...METHODS).map(
  (name): Wound =>
    (draft) => {
      draft.method = name;
    },
);

/** Real methods of HTTP that no route has. */
const foreignMethod = fc.constantFrom('PROPFIND', 'QUERY', 'MKCOL', 'LINK').map(
  (name): Wound =>
    (draft) => {
      draft.method = name;
      draft.astray = true;
    },
);

/** One to three wounds; most go where the product looks. */
export const wounds: fc.Arbitrary<Wound[]> = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: spoil },
    { weight: 5, arbitrary: extend },
    { weight: 3, arbitrary: add },
    { weight: 2, arbitrary: repeat },
    { weight: 2, arbitrary: drop },
    { weight: 3, arbitrary: body },
    { weight: 1, arbitrary: cut },
    { weight: 2, arbitrary: path },
    { weight: 2, arbitrary: query },
    { weight: 2, arbitrary: header },
    { weight: 1, arbitrary: contentType },
    { weight: 1, arbitrary: fc.oneof({ weight: 4, arbitrary: method }, foreignMethod) },
  ),
  { minLength: 1, maxLength: 3 },
);

/** Where the parameters of a request without a JSON body are. */
function pairsOf(draft: Draft): Pair[] {
  return draft.form ?? draft.query;
}

function replace(pairs: Pair[], at: number, value: string): void {
  const index = at % Math.max(pairs.length, 1);
  const pair = pairs[index];
  if (pair) pairs[index] = [pair[0], value];
}

/** A JSON string with more text in it; in a list, its first entry. */
function extended(json: string, suffix: string): string {
  const value: unknown = json === '' ? undefined : parsed(json);
  if (typeof value === 'string') return JSON.stringify(value + suffix);
  return Array.isArray(value) && typeof value[0] === 'string'
    ? JSON.stringify([`${value[0]}${suffix}`, ...value.slice(1)])
    : json;
}

/** Undefined for what another wound has made of it. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
