import { Failure } from '../kernel/errors.ts';

/**
 * The source until the signal comes, even while the source does not answer: then it is told to end, and not waited for.
 * @param what is stopped, for the sentence of the Failure `interrupted`
 */
export async function* untilAborted<Item>(
  source: AsyncIterable<Item>,
  signal: AbortSignal | undefined,
  what: string,
): AsyncGenerator<Item, void> {
  if (!signal) return yield* source;
  const items = source[Symbol.asyncIterator]();
  const wait = new Wait();
  const stop = () => wait.end(new Failure('interrupted', `${what} was stopped.`));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    for (;;) {
      const { done, value } = await wait.for(() => items.next());
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    const ended = Promise.resolve(items.return?.()).catch(() => undefined);
    if (!signal.aborted) await ended;
  }
}

/** Waits for one thing after the other until it is ended. (`Promise.race` would remember each until the signal comes.) */
class Wait {
  #failure: Failure | undefined;
  #reject: (failure: Failure) => void = () => undefined;

  end(failure: Failure): void {
    this.#failure = failure;
    this.#reject(failure);
  }

  async for<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure;
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      work().then(resolve, reject);
    });
  }
}
