/** Parameters of a query or a form, in order, values decoded. Names that were sent without a value count as absent. */
export class Params {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(pairs: Iterable<readonly [string, string]>) {
    const values = new Map<string, string[]>();
    for (const [name, value] of pairs) {
      const known = values.get(name);
      if (known) known.push(value);
      else values.set(name, [value]);
    }
    this.#values = values;
  }

  /** The first value; undefined when absent or empty (RFC 6749 section 3.1: a parameter without a value is omitted). */
  get(name: string): string | undefined {
    return this.#values.get(name)?.[0] || undefined;
  }

  /** Every value that is not empty. */
  all(name: string): readonly string[] {
    return (this.#values.get(name) ?? []).filter((value) => value !== '');
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Whether the name was sent at all, also without a value: `?ops`. */
  mentions(name: string): boolean {
    return this.#values.has(name);
  }

  /** The first name outside `allowed` that was sent more than once (RFC 6749 section 3.1 forbids it). */
  repeated(allowed: readonly string[] = []): string | undefined {
    for (const [name, values] of this.#values) if (values.length > 1 && !allowed.includes(name)) return name;
    return undefined;
  }
}

export const noParams: Params = new Params([]);
