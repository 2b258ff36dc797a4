import type { Fault, Origin } from './fault.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A value as somebody wrote it, not yet read by its key. */
export interface Written {
  readonly value: unknown;
  readonly origin: Origin;
}

/** What a source says: values by the path of their key, and what is wrong with it. */
export interface Source {
  readonly values: ReadonlyMap<string, Written>;
  readonly faults: readonly Fault[];
}
