/** Lifetimes as people and programs say them, in seconds; what is kept is ms, and null for the default. */
import { z } from 'zod';
import { seconds } from '../kernel/clock.ts';
import { parseDuration } from '../kernel/duration.ts';

/** A signing key must outlive every token that it signed, so those are kept short, whoever says how short. */
export const LONGEST_ACCESS_TOKEN = '24h';

/** RFC 6749 section 4.1.2 recommends no more. */
export const LONGEST_CODE = '10m';

/** A lifetime in seconds. */
export function lifetime(longest: string) {
  return z
    .int()
    .min(1)
    .max(seconds(parseDuration(longest) ?? 0));
}

export function inMilliseconds(count: number | null | undefined): number | null {
  return count == null ? null : count * 1000;
}

export function inSeconds(milliseconds: number | null): number | null {
  return milliseconds === null ? null : milliseconds / 1000;
}
