import { formatDuration } from '../../kernel/duration.ts';

/** How far something is. */
export interface Progress {
  /** What is being done: `refresh-tokens (3 of 18)`. */
  readonly label: string;
  /** How much is done, and of what: `rows`, `bytes`. */
  readonly done: number;
  readonly unit: string;
  /** 0 to 1; null where nobody can tell. */
  readonly share: number | null;
  /** ms since it began. */
  readonly elapsed: number;
}

export interface ProgressLine {
  show(now: Progress): void;
  /** Wipes the line, so that something else can be written. */
  clear(): void;
}

/** What of a terminal matters here. */
type Screen = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

const BAR = 24;
const WIPE = '\r\u001b[2K';
/** Before that a rate is chance, ms. */
const SETTLED = 500;

/** One line on a terminal that tells progress, rate and time left; on anything else it writes nothing. */
export function progressLine(screen: Screen): ProgressLine {
  if (screen.isTTY !== true) return { show() {}, clear() {} };
  let shown = false;
  return {
    show(now) {
      shown = true;
      screen.write(WIPE + progressText(now).slice(0, (screen.columns ?? 80) - 1));
    },
    clear() {
      if (shown) screen.write(WIPE);
      shown = false;
    },
  };
}

/** `refresh-tokens (3 of 18)  [##########--------------]  42 %  12345 rows  8100/s  1m5s left` */
export function progressText({ label, done, unit, share, elapsed }: Progress): string {
  const parts = [label];
  if (share !== null) {
    const full = Math.round(share * BAR);
    parts.push(`[${'#'.repeat(full)}${'-'.repeat(BAR - full)}]`, `${Math.floor(share * 100)} %`);
  }
  parts.push(`${done} ${unit}`);
  if (elapsed >= SETTLED) {
    parts.push(`${Math.round((done * 1000) / elapsed)}/s`);
    if (share !== null && share > 0) parts.push(`${timeLeft(elapsed, share)} left`);
  }
  return parts.join('  ');
}

/** In whole seconds: the rest at the pace so far. */
function timeLeft(elapsed: number, share: number): string {
  const seconds = Math.ceil((elapsed * (1 - share)) / share / 1000);
  return seconds === 0 ? '0s' : formatDuration(seconds * 1000);
}
