import { Worker } from 'node:worker_threads';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { Meter } from '../../kernel/metrics.ts';
import { unpackFailure } from '../failure-parcel.ts';
import { databaseUnavailable } from '../sql/failures.ts';
import type { SqliteOptions } from './connect.ts';
import { fromSqlite } from './errors.ts';
import type { Answer, Batch, Job } from './group-commit.ts';
import { WriteMeter } from './write-meter.ts';

interface Waiting {
  readonly job: Job;
  /** ms, by the meter's clock. */
  readonly since: number;
  resolve(value: unknown): void;
  reject(error: Failure): void;
}

/** Beyond this many waiting writes the server is drowning; a quick 503 beats an answer that comes too late. */
const LONGEST_QUEUE = 10_000;
/** A batch is one fsync. Larger ones make the first of them wait for the last. */
const LARGEST_BATCH = 256;
/** How soon, ms, a writer thread that died is started again; twice as late after each start that failed. */
const RESTART_DELAY = 100;
const LONGEST_RESTART_DELAY = 5000;

/**
 * The main thread's end of the writer: queues units of work, sends all that wait as one batch, and sends the next when
 * that is committed. The busier the server, the larger the batches.
 */
export class WriterThread {
  readonly #options: SqliteOptions;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #meter: WriteMeter;
  readonly #closed = Promise.withResolvers<void>();
  /** Undefined from the death of one thread to the start of the next. */
  #worker: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;
  /** Has this thread opened the database? */
  #ready = false;
  #failedStarts = 0;
  /** What the last thread died of. */
  #cause: unknown;
  #queue: Waiting[] = [];
  #underway: Waiting[] = [];
  #scheduled = false;
  #closing = false;

  constructor(options: SqliteOptions, { log, meter, clock }: { log: Log; meter: Meter; clock: Clock }) {
    this.#options = options;
    this.#log = log;
    this.#clock = clock;
    this.#meter = new WriteMeter(meter, options, () => this.#queue.length + this.#underway.length);
    this.#start();
  }

  submit(job: Job): Promise<unknown> {
    const refusal = this.#refusal();
    if (refusal) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, since: this.#meter.now(), resolve, reject });
      this.#schedule();
    });
  }

  /** Finishes what was accepted, then ends the thread. */
  close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      if (this.#isIdle()) this.#end();
    }
    return this.#closed.promise;
  }

  #refusal(): Failure | undefined {
    if (this.#closing) return databaseUnavailable('the store is closing');
    if (this.#failedStarts > 0) return this.#cannotStart();
    if (this.#queue.length < LONGEST_QUEUE) return undefined;
    return databaseUnavailable(`more than ${LONGEST_QUEUE} writes are waiting`);
  }

  #cannotStart(): Failure {
    const known = fromSqlite(this.#cause);
    return known instanceof Failure
      ? known
      : databaseUnavailable('the writer thread cannot start; the log says why', this.#cause);
  }

  #isIdle(): boolean {
    return this.#underway.length === 0 && this.#queue.length === 0;
  }

  /** Once per turn of the event loop, so that requests which arrive together commit together. */
  #schedule(): void {
    if (this.#scheduled || this.#underway.length > 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (!this.#worker || this.#underway.length > 0) return;
    if (this.#queue.length === 0) {
      if (this.#closing) this.#end();
      return;
    }
    this.#underway = this.#queue.splice(0, LARGEST_BATCH);
    this.#meter.sent(this.#underway.length, this.#underway[0]?.since ?? 0);
    const jobs = this.#underway.map((waiting) => waiting.job);
    this.#worker.postMessage({ jobs, sentAt: this.#clock.now() } satisfies Batch);
  }

  #receive(message: 'ready' | readonly Answer[]): void {
    if (message === 'ready') {
      this.#ready = true;
      this.#failedStarts = 0;
      this.#cause = undefined;
      return;
    }
    this.#meter.committed();
    const answered = this.#underway;
    this.#underway = [];
    this.#send();
    for (const [index, answer] of message.entries()) {
      const waiting = answered[index] as Waiting;
      if ('failure' in answer) waiting.reject(unpackFailure(answer.failure));
      else waiting.resolve(answer.value);
    }
  }

  #start(): void {
    const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData: this.#options });
    worker.on('message', (message: 'ready' | readonly Answer[]) => this.#receive(message));
    worker.on('error', (error) => {
      this.#cause = error;
      this.#log.error({ error: error.message }, 'the writer thread failed');
    });
    worker.on('exit', () => this.#ended());
    this.#worker = worker;
    this.#send();
  }

  /** The thread is gone: on request, or it died and what it had in hand may or may not have been committed. */
  #ended(): void {
    const wasReady = this.#ready;
    this.#worker = undefined;
    this.#ready = false;
    const lost = this.#underway.splice(0);
    if (!wasReady) {
      this.#failedStarts += 1;
      lost.push(...this.#queue.splice(0));
    }
    const reason = wasReady
      ? databaseUnavailable('the writer thread died before it answered')
      : this.#cannotStart();
    for (const waiting of lost) waiting.reject(reason);
    if (this.#closing && this.#isIdle()) {
      this.#end();
      return;
    }
    const delay = Math.min(RESTART_DELAY * 2 ** this.#failedStarts, LONGEST_RESTART_DELAY);
    this.#restart = setTimeout(() => this.#start(), delay);
  }

  /** Nothing is left to do: ends the thread, whose exit leads here again. */
  #end(): void {
    clearTimeout(this.#restart);
    if (this.#worker) this.#worker.postMessage('close');
    else this.#closed.resolve();
  }
}
