import type { Config } from './tree.ts';

/** A rule that no key can hold alone. It runs only when the keys it is about are well formed. */
export interface Rule {
  /** The keys it reads; the first is the one to blame. */
  readonly about: readonly [string, ...string[]];
  check(config: Config): { readonly problem: string; readonly hint: string } | undefined;
}
