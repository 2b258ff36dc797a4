import { constants, setPriority } from 'node:os';

/**
 * Puts this thread, and those that it starts, behind the ones that serve. Only Linux has priorities of threads
 * (setpriority(2), "C library/kernel differences"); elsewhere it would be the whole server, so nothing is done there.
 */
export function takeLowPriority(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // A sandbox may forbid it; it is a courtesy.
  }
}
