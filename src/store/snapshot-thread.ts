/** The thread that reads or fills a database beside the server, seen from both of its ends: it is asked, and answers in turn. */
import { parentPort, Worker } from 'node:worker_threads';
import { Failure } from '../kernel/errors.ts';
import { type FailureParcel, packFailure, unpackFailure } from './failure-parcel.ts';
import { databaseUnavailable } from './sql/failures.ts';

type Reply = { readonly value: unknown; readonly failure?: undefined } | { readonly failure: FailureParcel };

/** How long, ms, a thread may take to roll back and let go before it is ended from outside. */
const CLOSING_PATIENCE = 5000;

/** The near end. Several questions may be under way. */
export class SnapshotThread {
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting: PromiseWithResolvers<unknown>[] = [];
  /** Why nothing is answered any more. */
  #over: Failure | undefined;
  #closing: Promise<void> | undefined;

  constructor(file: URL, workerData: unknown, signal: AbortSignal | undefined) {
    this.#worker = new Worker(file, { workerData, name: 'snapshot' });
    this.#signal = signal;
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('message', (reply: Reply) => this.#receive(reply));
    this.#worker.on('error', (error) => this.#end(databaseUnavailable(error.message, error)));
    this.#worker.on('exit', () => this.#end(databaseUnavailable('the snapshot thread is gone')));
    signal?.addEventListener('abort', this.#abort);
    if (signal?.aborted) this.#abort();
  }

  ask<Answer>(question: unknown): Promise<Answer> {
    const waiting = Promise.withResolvers<unknown>();
    // Whoever asks several things at once hears of the first failure and listens no more.
    waiting.promise.catch(() => {});
    if (this.#over) waiting.reject(this.#over);
    else {
      this.#waiting.push(waiting);
      this.#worker.postMessage({ question });
    }
    return waiting.promise as Promise<Answer>;
  }

  /** Undoes what is not finished, lets go of the database and ends the thread. */
  close(): Promise<void> {
    this.#end(databaseUnavailable('the snapshot is closed'));
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#worker.postMessage('close');
    const late = setTimeout(() => void this.#worker.terminate(), CLOSING_PATIENCE);
    await this.#exited;
    clearTimeout(late);
  }

  readonly #abort = () => {
    this.#end(new Failure('interrupted', 'The snapshot was cancelled.', { cause: this.#signal?.reason }));
    void this.close();
  };

  #receive(reply: Reply): void {
    const asked = this.#waiting.shift();
    if (reply.failure) asked?.reject(unpackFailure(reply.failure));
    else asked?.resolve(reply.value);
  }

  #end(reason: Failure): void {
    this.#over ??= reason;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#over);
  }
}

/** What the far end does. */
export interface Answerer {
  answer(question: unknown): Promise<unknown>;
  /** May come while an answer is being worked on, which then fails. */
  close(): Promise<void>;
}

/** The far end: answers one question after the other. The bytes in an answer go over without a copy. */
export function serveSnapshots(job: Answerer): void {
  const port = parentPort;
  if (!port) throw new Error('snapshots are served by a worker thread');
  let turn = Promise.resolve();
  const reply = async (question: unknown) => {
    try {
      const value = await job.answer(question);
      port.postMessage({ value } satisfies Reply, buffersIn(value));
    } catch (error) {
      port.postMessage({ failure: packFailure(error) } satisfies Reply);
    }
  };
  port.on('message', (message: 'close' | { readonly question: unknown }) => {
    if (message === 'close') void job.close().finally(() => port.close());
    else turn = turn.then(() => reply(message.question));
  });
}

function buffersIn(value: unknown): ArrayBuffer[] {
  const bytes = (value as { bytes?: unknown } | undefined)?.bytes;
  return bytes instanceof Uint8Array && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : [];
}
