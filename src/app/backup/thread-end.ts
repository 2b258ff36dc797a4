/** The far end of `runThread`: what a thread does that works for a server, and goes behind it. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { STOP, type ThreadStart } from './thread.ts';

export interface ThreadEnd<Job, From> {
  readonly job: Job;
  tell(message: From): void;
  /** Aborted when nobody wants it any more, and once all is told. */
  readonly signal: AbortSignal;
}

/** @param stopped called when nothing is heard any more */
export function openThreadEnd<Job, From, To extends object>(
  hear: (message: To) => void,
  stopped: () => void,
): ThreadEnd<Job, From> {
  const port = parentPort;
  if (!port) throw new Error('this runs in a thread of its own');
  const { job, nice } = workerData as ThreadStart<Job>;
  goBehind(nice);
  const stop = new AbortController();
  port.on('message', (message: To | typeof STOP) => {
    if (message !== STOP) return hear(message);
    stop.abort();
    stopped();
    port.close();
  });
  return { job, tell: (message) => port.postMessage(message), signal: stop.signal };
}

/**
 * Puts this thread, and those that it starts, behind the ones that serve. Only Linux has priorities of threads
 * (setpriority(2), "C library/kernel differences"); elsewhere it would be the whole server, so nothing is done there.
 */
function goBehind(nice: number): void {
  if (process.platform !== 'linux' || nice === 0) return;
  try {
    setPriority(nice);
  } catch {
    // A sandbox may forbid it; it is a courtesy.
  }
}
