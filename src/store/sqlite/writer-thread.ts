import { Worker } from 'node:worker_threads';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { SqliteOptions } from './connect.ts';
import { databaseUnavailable } from './errors.ts';
import type { Answer, FailureParcel, Job } from './group-commit.ts';

interface Waiting {
  readonly job: Job;
  resolve(value: unknown): void;
  reject(error: Failure): void;
}

/** Beyond this many waiting writes the server is drowning; a quick 503 beats an answer that comes too late. */
const LONGEST_QUEUE = 10_000;
/** A batch is one fsync. Larger ones make the first of them wait for the last. */
const LARGEST_BATCH = 256;
/** How soon, ms, a writer thread that died is started again. */
const RESTART_DELAY = 100;

/**
 * The main thread's end of the writer: queues units of work, sends all that wait as one batch, and sends the next when
 * that is committed. The busier the server, the larger the batches.
 */
export class WriterThread {
  readonly #options: SqliteOptions;
  readonly #log: Log;
  #worker: Worker;
  #queue: Waiting[] = [];
  #underway: Waiting[] = [];
  #scheduled = false;
  #closing: (() => void) | undefined;

  constructor(options: SqliteOptions, log: Log) {
    this.#options = options;
    this.#log = log;
    this.#worker = this.#start();
  }

  submit(job: Job): Promise<unknown> {
    if (this.#closing) return Promise.reject(databaseUnavailable('the store is closing'));
    if (this.#queue.length >= LONGEST_QUEUE) {
      return Promise.reject(databaseUnavailable(`more than ${LONGEST_QUEUE} writes are waiting`));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
      this.#schedule();
    });
  }

  /** Finishes what was accepted, then ends the thread. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing = resolve;
      if (this.#underway.length === 0 && this.#queue.length === 0) this.#worker.postMessage('close');
    });
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
    if (this.#underway.length > 0) return;
    if (this.#queue.length === 0) {
      if (this.#closing) this.#worker.postMessage('close');
      return;
    }
    this.#underway = this.#queue.splice(0, LARGEST_BATCH);
    this.#worker.postMessage(this.#underway.map((waiting) => waiting.job));
  }

  #receive(answers: readonly Answer[]): void {
    const answered = this.#underway;
    this.#underway = [];
    this.#send();
    for (const [index, answer] of answers.entries()) {
      const waiting = answered[index] as Waiting;
      if ('failure' in answer) waiting.reject(unpack(answer.failure));
      else waiting.resolve(answer.value);
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData: this.#options });
    worker.on('message', (answers: readonly Answer[]) => this.#receive(answers));
    worker.on('error', (error) => this.#log.error({ error: error.message }, 'the writer thread failed'));
    worker.on('exit', () => this.#ended());
    return worker;
  }

  /** The thread is gone: on request, or it died and what it had in hand may or may not have been committed. */
  #ended(): void {
    const lost = this.#underway;
    this.#underway = [];
    for (const waiting of lost)
      waiting.reject(databaseUnavailable('the writer thread died before it answered'));
    if (this.#closing && this.#queue.length === 0) {
      this.#closing();
      return;
    }
    setTimeout(() => {
      this.#worker = this.#start();
      this.#send();
    }, RESTART_DELAY);
  }
}

function unpack(parcel: FailureParcel): Failure {
  return new Failure(parcel.code, parcel.sentence, {
    detail: parcel.detail,
    hint: parcel.hint,
    retryAfter: parcel.retryAfter,
  });
}
