import { Failure } from '../kernel/errors.ts';
import { bindStore } from './sql/bind.ts';
import type { Reader } from './sql/verb.ts';
import type { Store } from './store.ts';

/** A database that is looked at beside whoever works on it, and left as it is. */
export interface Onlooker {
  /** Its writing verbs fail. */
  readonly store: Store;
  /** Rows of a statement that only reads. */
  all(text: string): Promise<Record<string, unknown>[]>;
  tables(): Promise<ReadonlySet<string>>;
  close(): Promise<void>;
}

/** The reading verbs over a connection. @param translate makes an engine's error one of ours */
export function readingStore(db: Reader, translate: (error: unknown) => unknown): Store {
  return bindStore({
    async read(verb, input) {
      try {
        return await verb.run(db, input);
      } catch (error) {
        throw translate(error);
      }
    },
    write: async (_, { family, verb }) => {
      throw new Failure('internal', `${family}.${verb} would write, where nothing is to be changed.`);
    },
    watch: () => ({ [Symbol.dispose]: () => undefined }),
    close: async () => undefined,
  });
}
