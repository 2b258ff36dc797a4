// Owns what a request is here before it is bytes: parameters that can be damaged one by one, and how they become bytes.

import type { Product } from '../oauth/product.ts';

/** Form-urlencoded pairs; a value that is damaged on purpose is already in its raw, encoded form. */
export type Pair = readonly [name: string, raw: string];

/** A request that the product accepts, in parts. */
export interface Sample {
  /** Named parts of the path. */
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly form?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** It is refused for a reason of its own, and only takes the damage further in. */
  readonly refused?: boolean;
}

export type SampleMaker = (product: Product) => Promise<readonly Sample[]>;

export interface Shot {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** The address is damaged, so that it may be that of another route, or of none. */
  readonly astray: boolean;
}

/** The parts of a shot while they can still be damaged. */
export interface Draft {
  method: string;
  path: string;
  params: Record<string, string>;
  query: Pair[];
  form: Pair[] | undefined;
  /** The members of a JSON object, each as JSON text: there is more in JSON than values can say. */
  members: Pair[] | undefined;
  headers: Record<string, string>;
  /** In place of what form and members make. */
  body: Buffer | undefined;
  astray: boolean;
}

export function draftOf(method: string, path: string, sample: Sample): Draft {
  const json = sample.json as Readonly<Record<string, unknown>> | undefined;
  return {
    method,
    path,
    params: encodedValues(sample.params),
    query: encodedPairs(sample.query),
    form: sample.form && encodedPairs(sample.form),
    members:
      json && Object.entries(json).map(([name, value]) => [JSON.stringify(name), JSON.stringify(value)]),
    headers: {
      ...(sample.form && { 'content-type': 'application/x-www-form-urlencoded' }),
      ...(json && { 'content-type': 'application/json' }),
      ...sample.headers,
    },
    body: undefined,
    astray: false,
  };
}

export function shotOf(draft: Draft): Shot {
  const path = draft.path.replaceAll(/:(\w+)/g, (_, name: string) => draft.params[name] ?? 'absent');
  const query = draft.query.length === 0 ? '' : `?${joined(draft.query)}`;
  const { method, headers, astray } = draft;
  return { method, url: path + query, headers, body: bodyOf(draft), astray };
}

function bodyOf({ body, form, members }: Draft): Buffer | undefined {
  if (body) return body;
  if (form) return Buffer.from(joined(form));
  return members && Buffer.from(`{${members.map(([name, value]) => `${name}:${value}`).join(',')}}`);
}

function joined(pairs: readonly Pair[]): string {
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

function encodedPairs(values: Readonly<Record<string, string>> = {}): Pair[] {
  return Object.entries(values).map(([name, value]) => [encodeURIComponent(name), encodeURIComponent(value)]);
}

function encodedValues(values: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(encodedPairs(values));
}
