import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../kernel/clock.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';

/** Where numbers come from that nobody counts: it is asked when somebody looks. */
export interface Source {
  readonly name: string;
  /** How old, ms, an answer may be before it is asked again: many scrapers cost no more than one. */
  readonly freshness: number;
  ask(): Promise<void>;
}

/**
 * How long, ms, a reader of metrics waits for a source: the others are worth telling without it. Longer than a probe waits for
 * the database (health.ts), or it would be left out just when it hangs.
 */
const PATIENCE = 3000;

/** Asks sources, each at most as often as it allows, and says which of them answered. */
export class Sources {
  readonly #asked = new Map<Source, { readonly at: number; readonly up: Promise<boolean> }>();
  readonly #failing = new Set<string>();
  readonly #clock: Clock;
  readonly #log: Log;

  constructor({ clock, log }: { clock: Clock; log: Log }) {
    this.#clock = clock;
    this.#log = log;
  }

  async ask(sources: readonly Source[]): Promise<readonly { readonly name: string; readonly up: boolean }[]> {
    return Promise.all(
      sources.map(async (source) => ({ name: source.name, up: await this.#askOne(source) })),
    );
  }

  #askOne(source: Source): Promise<boolean> {
    const now = this.#clock.now();
    const former = this.#asked.get(source);
    if (former && now - former.at < source.freshness) return former.up;
    const up = this.#try(source);
    this.#asked.set(source, { at: now, up });
    return up;
  }

  async #try({ name, ask }: Source): Promise<boolean> {
    const late = new AbortController();
    const giveUp = sleep(PATIENCE, undefined, { signal: late.signal, ref: false }).then(() => {
      throw new Error(`no answer within ${PATIENCE} ms`);
    });
    try {
      await Promise.race([ask(), giveUp]);
      this.#failing.delete(name);
      return true;
    } catch (error) {
      this.#reportOnce(name, error);
      return false;
    } finally {
      late.abort();
      giveUp.catch(() => undefined);
    }
  }

  /** When it begins, not at every scrape that it lasts. */
  #reportOnce(name: string, error: unknown): void {
    if (this.#failing.has(name)) return;
    this.#failing.add(name);
    const { message, detail = message } = asFailure(error);
    this.#log.warn({ source: name, detail }, 'a source of metrics did not answer');
  }
}
