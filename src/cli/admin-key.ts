import type { KeyStatus, Rotation } from '../keys/keyring.ts';
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

const list = command({
  name: 'admin key list',
  summary: 'List the signing keys and their states.',
  examples: ['authserver admin key list', 'authserver admin key list --json'],
  async run(context) {
    const { printer } = context;
    const { items, problems } = await call<Keys>(context, 'GET', ['keys']);
    printer.list(items, columns, 'There are no signing keys.');
    for (const { message, hint } of problems) printer.next(`Attention: ${message} ${hint ?? ''}`.trim());
  },
});

const rotate = command({
  name: 'admin key rotate',
  summary: 'Publish a new signing key, which takes over once every client can know it.',
  description:
    'The new key is published at once and signs after signing.jwks_max_age; the former one goes on verifying until its last token has run out. When a key is waiting already, that one is shown and no other is made.',
  examples: ['authserver admin key rotate'],
  async run(context) {
    const rotation = await call<Rotation>(context, 'POST', ['keys', 'rotate']);
    const headline = rotation.started
      ? 'A new signing key is published.'
      : 'A new signing key was waiting already.';
    context.printer.record(rotation, headline, [
      column('key id', ({ kid }) => kid),
      column('signs from', ({ activates_at }) => moment(activates_at)),
    ]);
  },
});

export const adminKeyCommands: readonly Command[] = [list, rotate];
