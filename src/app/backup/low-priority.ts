import { setPriority } from 'node:os';

/** A tenth of the share of a thread that serves, where there is not enough for all. With 5, writes wait half as long again. */
const LOW = 10;

/**
 * Puts this thread, and those that it starts, behind the ones that serve. Only Linux has priorities of threads
 * (setpriority(2), "C library/kernel differences"); elsewhere it would be the whole server, so nothing is done there.
 */
export function takeLowPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(LOW);
  } catch {
    // A sandbox may forbid it; it is a courtesy.
  }
}
