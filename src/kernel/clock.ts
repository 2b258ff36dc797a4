/** Time is handed in, so that tests and drills can move it. Milliseconds since 1970, UTC. */
export interface Clock {
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Seconds since 1970, as JWT claims count them (RFC 7519 section 2, NumericDate). */
export function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}
