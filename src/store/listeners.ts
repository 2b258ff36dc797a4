import type { Topic } from './store.ts';

/** Who in this process wants to hear of changes. */
export class Listeners {
  readonly #listeners = new Set<{ readonly topic: Topic; readonly call: () => void }>();

  get size(): number {
    return this.#listeners.size;
  }

  add(topic: Topic, call: () => void): Disposable {
    const listener = { topic, call };
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  tell(topic: string): void {
    for (const listener of this.#listeners) if (listener.topic === topic) listener.call();
  }

  tellAll(): void {
    for (const { call } of this.#listeners) call();
  }
}
