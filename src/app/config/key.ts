import { isIP } from 'node:net';
import path from 'node:path';
import { z } from 'zod';
import { formatDuration, parseDuration } from '../../kernel/duration.ts';

/** What a default may depend on. */
export interface Facts {
  readonly stateDir: string;
  /** True where a person watches standard output. */
  readonly terminal: boolean;
}

/** One key of the configuration: how it is read, what it means, what it is when nobody sets it. */
export interface Key<Value> {
  /** What an operator may write, in words. */
  readonly kind: string;
  readonly text: string;
  /** Reads what YAML or an environment variable holds; its messages complete the sentence "server.issuer ...". */
  readonly schema: z.ZodType<Value>;
  /** As an operator would write it; undefined where the key has none. */
  default(facts: Facts): unknown;
  readonly defaultText: string;
  readonly example: string | undefined;
  readonly secret: boolean;
  /** The value as an operator would write it. */
  format(value: Value): unknown;
}

export interface Section<Keys> {
  readonly text: string;
  readonly keys: Keys;
}

export function section<Keys>(text: string, keys: Keys): Section<Keys> {
  return { text, keys };
}

/** The values of a tree of keys. */
export type Values<Node> =
  Node extends Section<infer Keys>
    ? { readonly [Name in keyof Keys]: Values<Keys[Name]> }
    : Node extends Key<infer Value>
      ? Value
      : never;

/** What every kind of key is told. */
interface About {
  readonly text: string;
  readonly default: unknown;
  /** Where the default is not a fixed value: how the documentation says it. */
  readonly defaultText?: string;
  readonly example?: string;
  readonly secret?: boolean;
}

/** Where a listener listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

function key<Value>(
  kind: string,
  schema: z.ZodType<Value>,
  about: About,
  format: (value: Value) => unknown = (value) => value,
): Key<Value> {
  const given = about.default;
  return {
    kind,
    schema,
    text: about.text,
    default: typeof given === 'function' ? (facts) => given(facts) : () => given,
    defaultText: about.defaultText ?? (given === undefined ? '' : JSON.stringify(given)),
    example: about.example,
    secret: about.secret ?? false,
    format,
  };
}

/** A key that may stay without a value. */
export function optional<Value>(inner: Key<Value>): Key<Value | undefined> {
  return {
    ...inner,
    schema: z.optional(inner.schema),
    format: (value) => (value === undefined ? undefined : inner.format(value)),
  };
}

export function text(about: About): Key<string> {
  return key('text', z.string('must be text').min(1, 'must not be empty'), about);
}

/** A path; a relative one counts from the working folder. */
export function file(about: About): Key<string> {
  const schema = z.string('must be a path').min(1, 'must not be empty');
  return key(
    'path',
    schema.transform((value) => path.resolve(value)),
    about,
  );
}

export function choice<const Word extends string>(
  words: readonly [Word, ...Word[]],
  about: About & {
    /** Names that other systems gave the same words. */ readonly also?: Readonly<Record<string, Word>>;
  },
): Key<Word> {
  const schema = z.enum(words, `must be ${words.length === 1 ? '' : 'one of: '}${words.join(', ')}`);
  const ours = (value: unknown) => (typeof value === 'string' ? (about.also?.[value] ?? value) : value);
  return key(
    words.map((word) => `\`${word}\``).join(' or '),
    z.preprocess(ours, schema) as unknown as z.ZodType<Word>,
    about,
  );
}

export function truth(about: About): Key<boolean> {
  const read = (value: unknown) => (value === 'true' ? true : value === 'false' ? false : value);
  return key('true or false', z.preprocess(read, z.boolean('must be true or false')), about);
}

interface Bounds {
  readonly min: number;
  readonly max: number;
}

export function integer(bounds: Bounds, about: About): Key<number> {
  const read = (value: unknown) =>
    typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  const schema = between(z.int('must be a whole number'), bounds, String);
  return key(`whole number, ${bounds.min} to ${bounds.max}`, z.preprocess(read, schema), about);
}

/** Written `90s`, `15m`, `1h30m`, `7d`; its value is in milliseconds. */
export function duration(bounds: { readonly min: string; readonly max: string }, about: About): Key<number> {
  const limits = { min: milliseconds(bounds.min), max: milliseconds(bounds.max) };
  const number = z.number('must be a duration such as 90s, 15m, 1h30m or 7d');
  // A bare number would leave its unit to guessing; only 0 needs none.
  const read = (value: unknown) =>
    value === 0 || typeof value === 'string' ? parseDuration(`${value}`) : undefined;
  const schema = z.preprocess(read, between(number, limits, formatDuration));
  return key(`duration, ${bounds.min} to ${bounds.max}`, schema, about, formatDuration);
}

const SIZES: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Written `64KiB`, `19MiB`; its value is in bytes. */
export function size(bounds: { readonly min: string; readonly max: string }, about: About): Key<number> {
  const limits = { min: parseSize(bounds.min) as number, max: parseSize(bounds.max) as number };
  const schema = between(z.number('must be a size such as 512KiB or 19MiB'), limits, formatSize);
  const read = (value: unknown) => (typeof value === 'string' ? parseSize(value) : undefined);
  return key(`size, ${bounds.min} to ${bounds.max}`, z.preprocess(read, schema), about, formatSize);
}

/** A YAML list, or one text with commas. @param about.separator where the items themselves may have commas */
export function list(
  about: About & { readonly item?: z.ZodType<string>; readonly separator?: RegExp },
): Key<readonly string[]> {
  const read = (value: unknown) =>
    typeof value === 'string'
      ? value
          .split(about.separator ?? ',')
          .map((item) => item.trim())
          .filter((item) => item !== '')
      : value;
  const item = about.item ?? z.string('must hold only texts').min(1, 'must not hold an empty text');
  return key(
    'list of texts',
    z.preprocess(read, z.array(item, 'must be a list of texts, or one text with commas')),
    about,
  );
}

/** An IP address or a network (`10.0.0.0/8`), as an item of a list. */
export const network: z.ZodType<string> = z.string('must hold only texts').refine(
  (value) => {
    const [address = '', bits, ...more] = value.split('/');
    const version = isIP(address);
    if (version === 0 || more.length > 0) return false;
    return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
  },
  { error: (issue) => `holds "${String(issue.input)}", which is not an IP address or network` },
);

/** A header as `name=value`, as an item of a list; its value is not repeated in a message. */
export const otlpHeader: z.ZodType<string> = z
  .string('must hold only texts')
  .regex(/^\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*=[^\r\n]*$/, 'must hold only name=value')
  .refine(isDecodable, 'must hold values that are percent-encoded');

/** `host:port`; a port alone means the loopback address. */
export function address(about: About): Key<Address> {
  const schema = z.preprocess(
    (value) => (typeof value === 'string' ? parseAddress(value) : undefined),
    z.custom<Address>(
      (value) => value !== undefined,
      'must be an address such as :9000, 0.0.0.0:9000 or [::1]:9000',
    ),
  );
  return key('address, `host:port`', schema, about, formatAddress);
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, bracketed, plain, digits] = match;
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
  const port = Number(digits);
  return port > 65_535 ? undefined : { host: bracketed || plain || '127.0.0.1', port };
}

function between<Schema extends z.ZodNumber | z.ZodInt>(
  schema: Schema,
  { min, max }: Bounds,
  write: (value: number) => string,
): Schema {
  return schema
    .min(min, `must be at least ${write(min)}`)
    .max(max, `must be at most ${write(max)}`) as Schema;
}

function milliseconds(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new TypeError(`"${text}" is not a duration`);
  return value;
}

function parseSize(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,12})(B|KiB|MiB|GiB)$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(amount) * (SIZES[unit] as number);
}

function formatSize(bytes: number): string {
  const unit =
    ['GiB', 'MiB', 'KiB'].find((name) => bytes > 0 && bytes % (SIZES[name] as number) === 0) ?? 'B';
  return `${bytes / (SIZES[unit] as number)}${unit}`;
}
