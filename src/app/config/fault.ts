import { Failure } from '../../kernel/errors.ts';

/** Where a value comes from. */
export type Origin =
  | { readonly from: 'default' }
  | { readonly from: 'file'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly from: 'environment'; readonly variable: string };

export function formatOrigin(origin: Origin): string {
  if (origin.from === 'file') return `${origin.file}:${origin.line}:${origin.column}`;
  return origin.from === 'environment' ? `env ${origin.variable}` : 'default';
}

/** One thing that is wrong with the settings. */
export interface Fault {
  /** The key, or what stands where a key should. */
  readonly path: string;
  readonly origin: Origin;
  /** Completes the sentence "<path> ...". Never holds a secret. */
  readonly problem: string;
  readonly hint?: string;
}

/** Everything that is wrong with the settings, at once. */
export class ConfigurationFailure extends Failure {
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`;
    super('configuration', `The configuration has ${count}.\n${faults.map(formatFault).join('\n')}`, {
      hint: 'docs/configuration.md lists every key; `authserver config check` tries the settings without starting anything.',
    });
    this.faults = faults;
  }
}

function formatFault({ path, origin, problem, hint }: Fault): string {
  const line = `  ${path === '' ? 'the file' : path} (${formatOrigin(origin)}) ${problem}.`;
  return hint === undefined ? line : `${line} ${hint}`;
}
