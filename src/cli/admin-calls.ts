/**
 * What administrative commands have in common: how they call the admin API, and the options and sentences that mean the
 * same in all of them. It must not know any one resource.
 */
import type { AdminMethod } from '../app/admin-client.ts';
import type { CliContext } from './command.ts';
import { flag } from './option.ts';

/** `call<User>(context, 'POST', ['users', 'ada', 'disable'])`: what the admin API answers, as docs/admin-api.md has it. */
export async function call<Answer>(
  context: CliContext,
  method: AdminMethod,
  path: readonly string[],
  body?: object,
): Promise<Answer> {
  const admin = await context.admin();
  const answer = await admin.request(method, addressOf(path), body);
  return answer.body as Answer;
}

/** Every entry of a list, however many pages it has. */
export async function readAll<Item>(context: CliContext, path: readonly string[]): Promise<Item[]> {
  const admin = await context.admin();
  const items: Item[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const query: string = `?limit=500&after=${encodeURIComponent(after)}`;
    const { body } = await admin.request('GET', addressOf(path) + query);
    const page = body as { readonly items: readonly Item[]; readonly next: string | null };
    items.push(...page.items);
    after = page.next;
  }
  return items;
}

/** Deletes after asking, unless `--yes` was said. */
export async function deleteAfterAsking(
  context: CliContext,
  what: string,
  path: readonly string[],
  sure: boolean,
  value: Readonly<Record<string, string>>,
): Promise<void> {
  if (!sure) await context.confirm(`Delete ${what}?`);
  await call(context, 'DELETE', path);
  context.printer.record({ ...value, deleted: true }, `Deleted ${what}.`);
}

export const ifAbsent = flag('--if-absent', 'when it exists already, leave it as it is and succeed');
export const yes = flag('--yes', 'do not ask before deleting');

/** The rest of a headline after a creation with or without `--if-absent`. */
export function outcomeOf({ created }: { readonly created: boolean }): string {
  return created ? 'created.' : 'exists already; nothing was changed.';
}

/** The address of a thing, whatever its name holds. */
function addressOf(path: readonly string[]): string {
  return ['/admin', ...path.map(encodeURIComponent)].join('/');
}
