/** What happened in a drill, step by step, with its times. */
import type { Clock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';

export interface DrillStep {
  readonly name: string;
  /** ms */
  readonly started_at: number;
  readonly ms: number;
  readonly outcome: 'done' | 'failed';
  readonly detail: string;
  /** `lost`: nobody is served from its end on; `served`: somebody is again. */
  readonly mark: 'lost' | 'served' | null;
}

/** Thrown when a step has failed and is recorded: what comes after it has no meaning. */
export class DrillEnded extends Error {}

export class Recorder {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #begin: (step: string) => void;
  readonly #steps: DrillStep[] = [];
  #mark: DrillStep['mark'] = null;
  #lostAt: number | undefined;
  #rto: number | undefined;
  #rpo: number | undefined;

  /** @param begin told of each step as it begins */
  constructor(clock: Clock, signal: AbortSignal, begin: (step: string) => void) {
    this.#clock = clock;
    this.#signal = signal;
    this.#begin = begin;
  }

  get steps(): readonly DrillStep[] {
    return this.#steps;
  }

  /** From the disaster until a client was served again, ms; null where nothing was out of service. */
  get rto(): number | null {
    return this.#rto ?? null;
  }

  /** How much of what had been acknowledged was lost, ms; null where nobody looked. */
  get rpo(): number | null {
    return this.#rpo ?? null;
  }

  /**
   * Does what comes next; a sentence says how it went. What fails ends the drill.
   * @throws DrillEnded; Failure `interrupted`
   */
  async step<T>(name: string, work: (say: (detail: string) => void) => Promise<T>): Promise<T> {
    let detail = '';
    const say = (text: string) => {
      detail = text;
    };
    const end = this.#start(name);
    try {
      const value = await work(say);
      end('done', detail);
      return value;
    } catch (error) {
      if (this.#signal.aborted) throw stopped(error);
      end('failed', reasonOf(error));
      throw new DrillEnded(name);
    }
  }

  /** Does what has to be there before anything can be rehearsed. What fails is thrown as it is. */
  async prepare<T>(name: string, work: (say: (detail: string) => void) => Promise<T>): Promise<T> {
    let detail = '';
    const end = this.#start(name);
    const value = await work((text) => {
      detail = text;
    });
    end('done', detail);
    return value;
  }

  /**
   * Looks whether something is as it has to be. What is not is told, and the next thing is looked at. The time that it takes
   * is the drill's own, and no time without service.
   */
  async check(
    name: string,
    look: (find: (finding: string) => void) => Promise<string | undefined>,
  ): Promise<void> {
    const found: string[] = [];
    const began = performance.now();
    const end = this.#start(name);
    try {
      const detail = await look((finding) => void found.push(finding));
      if (found.length === 0) end('done', detail ?? '');
      else end('failed', found.join(' '));
    } catch (error) {
      if (this.#signal.aborted) throw stopped(error);
      end('failed', [...found, reasonOf(error)].join(' '));
    } finally {
      if (this.#lostAt !== undefined) this.#lostAt += performance.now() - began;
    }
  }

  /** The disaster has happened: from now on nobody is served. */
  lost(): void {
    this.#lostAt = performance.now();
    this.#mark = 'lost';
  }

  /** Somebody is served again. */
  served(): void {
    if (this.#lostAt === undefined || this.#rto !== undefined) return;
    this.#rto = Math.round(performance.now() - this.#lostAt);
    this.#mark = 'served';
  }

  /** @param ms of acknowledged work that is missing */
  missing(ms: number): void {
    this.#rpo = ms;
  }

  #start(name: string): (outcome: DrillStep['outcome'], detail: string) => void {
    if (this.#signal.aborted) throw stopped(this.#signal.reason);
    this.#begin(name);
    this.#mark = null;
    const started_at = this.#clock.now();
    const began = performance.now();
    return (outcome, detail) => {
      const ms = Math.round(performance.now() - began);
      this.#steps.push({ name, started_at, ms, outcome, detail, mark: this.#mark });
    };
  }
}

function stopped(cause: unknown): Failure {
  return new Failure('interrupted', 'The drill was stopped before its end.', {
    hint: 'The copy is gone, and nothing else was touched. Run it again.',
    cause,
  });
}

function reasonOf(error: unknown): string {
  const { code, message, detail } = asFailure(error);
  const told = code === 'internal' ? (detail ?? message) : message;
  return told.split('\n', 1)[0] ?? '';
}
