import { Failure } from '../../kernel/errors.ts';
import type { Aggregates, Store, Topic } from '../store.ts';
import type { ReadVerb, VerbName, WriteVerb } from './verb.ts';
import { verbs } from './verbs.ts';

/** What an engine does for the verbs: it finds a connection for them and turns its errors into ours. */
export interface Driver {
  read<In, Out>(verb: ReadVerb<In, Out>, input: In): Promise<Out>;
  /** Runs a verb as one unit of work; resolves when it is on disk. */
  write<In, Out>(verb: WriteVerb<In, Out>, name: VerbName, input: In): Promise<Out>;
  watch(topic: Topic, listener: () => void): Disposable;
  close(): Promise<void>;
}

/** The store over an engine: one function for each verb of store.ts. */
export function bindStore(driver: Driver): Store {
  const bound: Record<string, Record<string, unknown>> = {};
  for (const [family, ofFamily] of Object.entries(verbs)) {
    const functions: Record<string, unknown> = {};
    for (const [verb, definition] of Object.entries(ofFamily as Record<string, ReadVerb<unknown, unknown>>)) {
      functions[verb] = bindVerb(driver, definition, { family, verb });
    }
    bound[family] = functions;
  }
  // The types of `verbs` hold each definition to its interface; here only their names are walked.
  return {
    ...(bound as unknown as Aggregates),
    watch: (topic, listener) => driver.watch(topic, listener),
    close: () => driver.close(),
  };
}

function bindVerb(
  driver: Driver,
  definition: ReadVerb<unknown, unknown> | WriteVerb<unknown, unknown>,
  name: VerbName,
): (input: unknown) => Promise<unknown> {
  if (definition.kind === 'read') return (input) => driver.read(definition, input);
  const { onConflict } = definition;
  if (onConflict === undefined) return (input) => driver.write(definition, name, input);
  return async (input) => {
    try {
      return await driver.write(definition, name, input);
    } catch (error) {
      if (error instanceof Failure && error.code === 'conflict') return onConflict;
      throw error;
    }
  };
}
