import type { AdminClient } from '../app/admin-client.ts';
import { parseDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import type { CliContext, Option } from './command.ts';
import { flag } from './option.ts';
import type { Column } from './print/printer.ts';

/** `adminPath('users', 'ada', 'disable')`: the address of a thing in the admin API, whatever its name holds. */
export function adminPath(...parts: readonly string[]): string {
  return ['/admin', ...parts.map(encodeURIComponent)].join('/');
}

/** Every entry of a list, however many pages it has. */
export async function readAll<Item>(admin: AdminClient, path: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const { body } = await admin.request('GET', `${path}?limit=500&after=${encodeURIComponent(after)}`);
    const page = body as { readonly items: readonly Item[]; readonly next: string | null };
    items.push(...page.items);
    after = page.next;
  }
  return items;
}

export const ifAbsent = flag('--if-absent', 'when it exists already, leave it as it is and succeed');
export const yes = flag('--yes', 'do not ask before deleting');

/** `duration('--lifetime <duration>', '...')`: seconds of `90s`, `15m`, `7d`, or undefined when not given. */
export function duration(flags: string, summary: string): Option<number | undefined> {
  return {
    flags,
    summary,
    repeatable: false,
    read(typed) {
      const text = Array.isArray(typed) ? typed.at(-1) : undefined;
      if (text === undefined) return undefined;
      const milliseconds = parseDuration(text);
      if (milliseconds !== undefined && milliseconds % 1000 === 0) return milliseconds / 1000;
      throw new Failure('invalid_input', `${flags} does not know "${text}".`, {
        hint: 'Write a duration in whole seconds such as 90s, 15m, 12h or 7d.',
      });
    },
  };
}

/** An optional value as people read it. */
export function orDash(value: string | null | undefined): string {
  return value || '-';
}

export function column<Row>(
  title: string,
  text: (row: Row) => string,
  align: 'left' | 'right' = 'left',
): Column<Row> {
  return { title, text, align };
}

/** The rest of a headline after a creation with or without `--if-absent`. */
export function outcomeOf({ created }: { readonly created: boolean }): string {
  return created ? 'created.' : 'exists already; nothing was changed.';
}

/** Deletes after asking, unless `--yes` was said. */
export async function deleteAfterAsking(
  context: CliContext,
  what: string,
  path: string,
  sure: boolean,
  value: Readonly<Record<string, string>>,
): Promise<void> {
  if (!sure) await context.confirm(`Delete ${what}?`);
  const admin = await context.admin();
  await admin.request('DELETE', path);
  context.printer.record({ ...value, deleted: true }, `Deleted ${what}.`);
}
