import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

/** Crockford's base 32 in lower case: no i, l, o, u, so that ids survive being read aloud. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

export interface Ids {
  /** A new id: `prefix_` and 26 characters, 48 bits of time before 80 bits of chance, so that ids sort by age. */
  next(prefix: string): string;
}

export function makeIds(clock: Clock, random: Random): Ids {
  return { next: (prefix) => `${prefix}_${timePart(clock.now())}${chancePart(random.bytes(10))}` };
}

/** When an id was made, ms, from what follows its prefix. */
export function timeIn(id: string): number {
  return [...id.slice(0, 10)].reduce((time, letter) => time * 32 + ALPHABET.indexOf(letter), 0);
}

function timePart(milliseconds: number): string {
  let rest = milliseconds;
  let text = '';
  for (let i = 0; i < 10; i++) {
    text = ALPHABET[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function chancePart(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text;
}
