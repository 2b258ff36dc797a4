/** A thread that does one thing for the server and ends: seen from the server's side. */
import { type Transferable, Worker } from 'node:worker_threads';
import { Failure } from '../../kernel/errors.ts';

/**
 * How long, ms, a thread may take to let go of databases and files before it is ended from outside, which leaves them to the
 * next one: on a busy machine it goes behind all others.
 */
const PATIENCE = 20_000;

/** What a thread is told besides messages of its own. */
export const STOP = 'stop';

/** What a thread is started with. */
export interface ThreadStart<Job> {
  readonly job: Job;
  /** As nice(2) counts; `backup.nice` of the settings. */
  readonly nice: number;
}

export interface ThreadTask<Job, From, To, Result> extends ThreadStart<Job> {
  readonly file: URL;
  readonly name: string;
  /** Told of each message, until the thread has ended. */
  hear(message: From, thread: Thread<To, Result>): void;
  /** What is thrown when nobody wants it any more. */
  stopped(): Failure;
}

/** The thread as whoever hears it has it. */
export interface Thread<To, Result> {
  say(message: To, transfer?: readonly Transferable[]): void;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/**
 * Answers once the thread is gone. It is told `STOP` when the signal is aborted, and when it has answered.
 * Failures: what `hear` rejects with, what `stopped` answers, `internal` when the thread breaks.
 */
export async function runThread<Job, From, To, Result>(
  { file, name, job, nice, hear, stopped }: ThreadTask<Job, From, To, Result>,
  signal: AbortSignal,
): Promise<Result> {
  const start: ThreadStart<Job> = { job, nice };
  const worker = new Worker(file, { workerData: start, name });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const done = Promise.withResolvers<Result>();
  const thread: Thread<To, Result> = {
    say: (message, transfer) => worker.postMessage(message, transfer),
    resolve: done.resolve,
    reject: done.reject,
  };
  const stop = () => {
    worker.postMessage(STOP);
    done.reject(stopped());
  };
  worker.on('message', (message: From) => hear(message, thread));
  worker.on('error', done.reject);
  worker.on('exit', () => done.reject(new Failure('internal', `The thread "${name}" is gone.`)));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await done.promise;
  } finally {
    signal.removeEventListener('abort', stop);
    worker.postMessage(STOP);
    const late = setTimeout(() => void worker.terminate(), PATIENCE);
    await exited;
    clearTimeout(late);
  }
}
