const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Only the account page tells dates: the data behind them is loaded when it is asked for, not at every start. */
const inEnglish = (at: number, style: Intl.DateTimeFormatOptions) =>
  new Date(at).toLocaleString('en-GB', { ...style, timeZone: 'UTC' });
const date = (at: number) => inEnglish(at, { dateStyle: 'long' });
const dateAndTime = (at: number) => inEnglish(at, { dateStyle: 'long', timeStyle: 'short' });

/** A moment as pages show it: text for people, an exact time for programs. */
export interface Moment {
  readonly iso: string;
  readonly text: string;
}

/** How long `count` seconds are, rounded up so that nobody comes back too soon: `12 minutes`. */
export function inWords(count: number): string {
  if (count <= 90) return amount(count, 'second');
  if (count <= 90 * MINUTE) return amount(Math.ceil(count / MINUTE), 'minute');
  return amount(Math.ceil(count / HOUR), 'hour');
}

/** How long ago something was, in words; the date once it is more than a month. */
export function ago(at: number, now: number): Moment {
  const passed = Math.max(0, Math.floor((now - at) / 1000));
  const iso = new Date(at).toISOString();
  if (passed < 2 * MINUTE) return { iso, text: 'just now' };
  if (passed < HOUR) return { iso, text: `${amount(Math.floor(passed / MINUTE), 'minute')} ago` };
  if (passed < DAY) return { iso, text: `${amount(Math.floor(passed / HOUR), 'hour')} ago` };
  if (passed < 30 * DAY) return { iso, text: `${amount(Math.floor(passed / DAY), 'day')} ago` };
  return { iso, text: date(at) };
}

export function onDate(at: number): Moment {
  return { iso: new Date(at).toISOString(), text: date(at) };
}

export function atTime(at: number): Moment {
  return { iso: new Date(at).toISOString(), text: `${dateAndTime(at)} UTC` };
}

function amount(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
