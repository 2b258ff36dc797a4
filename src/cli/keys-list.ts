import type { KeyStatus } from '../keys/keyring.ts';
import { call } from './admin-calls.ts';
import { type Command, command } from './command.ts';
import { type Column, column, moment } from './print/printer.ts';

const columns: readonly Column<KeyStatus>[] = [
  column('key id', ({ kid }) => kid),
  column('algorithm', ({ algorithm }) => algorithm),
  column('state', ({ state }) => state),
  column('store', ({ key_store }) => key_store),
  column('created', ({ created_at }) => moment(created_at)),
  column('signs from', ({ activated_at, activates_at }) => moment(activated_at ?? activates_at)),
  column('retires', ({ retired_at, retires_at }) => moment(retired_at ?? retires_at)),
];

interface Keys {
  readonly items: readonly KeyStatus[];
  readonly problems: readonly { readonly message: string; readonly hint?: string }[];
}

/** @param name under which it is known */
export function keysListCommand(name: 'keys list' | 'admin key list'): Command {
  return command({
    name,
    summary: 'List the signing keys and their states.',
    examples: [`authserver ${name}`, `authserver ${name} --json`],
    async run(context) {
      const { printer } = context;
      const { items, problems } = await call<Keys>(context, 'GET', ['keys']);
      printer.list(items, columns, 'There are no signing keys.');
      for (const { message, hint } of problems) printer.next(`Attention: ${message} ${hint ?? ''}`.trim());
    },
  });
}
