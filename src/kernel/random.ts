import { randomBytes } from 'node:crypto';

/** Randomness is handed in, so that tests can repeat a run. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Buffer;
}

export const systemRandom: Random = { bytes: (length) => randomBytes(length) };

/** An unguessable string: 256 bits, base64url, 43 characters. */
export function randomToken(random: Random): string {
  return random.bytes(32).toString('base64url');
}
