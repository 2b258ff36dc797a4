/** Sizes and ages as people read them. */
import { formatDuration } from '../../kernel/duration.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `3 days`, `5 hours`, `12 minutes`: what of an age, ms, matters. */
export function ageText(milliseconds: number): string {
  const age = Math.max(0, milliseconds);
  if (age >= 2 * DAY) return `${Math.floor(age / DAY)} days`;
  if (age >= 2 * HOUR) return `${Math.floor(age / HOUR)} hours`;
  if (age >= 2 * MINUTE) return `${Math.floor(age / MINUTE)} minutes`;
  return formatDuration(Math.floor(age / 1000) * 1000).replace(/^0$/, 'no time');
}

/** `512 KiB`, `1.4 GiB` */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function dayText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

/** A word of a shell's command line. */
export function shellWord(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
