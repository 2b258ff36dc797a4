import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import { call, deleteAfterAsking, ifAbsent, outcomeOf, readAll, yes } from './admin-calls.ts';
import { type Command, command } from './command.ts';
import { duration, list, text } from './option.ts';
import { type Column, column, moment, orDash } from './print/printer.ts';

/** A resource as the admin API shows it. */
interface ShownResource {
  readonly id: string;
  readonly uri: string;
  readonly name: string;
  readonly scopes: readonly { readonly name: string; readonly description: string }[];
  /** Seconds. */
  readonly access_token_lifetime: number | null;
  readonly created_at: number;
}

const resource = 'resource URI or id';

const columns: readonly Column<ShownResource>[] = [
  column('uri', ({ uri }) => uri),
  column('id', ({ id }) => id),
  column('name', ({ name }) => name),
  column('scopes', ({ scopes }) => orDash(scopes.map(({ name }) => name).join(' '))),
  column('access tokens live', ({ access_token_lifetime: seconds }) =>
    seconds === null ? 'as the client says' : formatDuration(seconds * 1000),
  ),
  column('created', ({ created_at }) => moment(created_at)),
];

const said = {
  name: text('--name <name>', 'what people read on the consent page'),
  scopes: list(
    '--scope <name=description>',
    'a scope of it, the description for the consent page (repeatable)',
  ),
  access_token_lifetime: duration('--access-token-lifetime <duration>', 'of tokens for it, such as 5m'),
};

const create = command({
  name: 'admin resource create',
  summary: 'Add an API that tokens are made for.',
  options: {
    uri: text('--uri <uri>', 'its resource indicator: the audience of its tokens, byte for byte'),
    ...said,
    if_absent: ifAbsent,
  },
  examples: [
    'authserver admin resource create --uri https://api.example.com --scope "orders.read=See your orders" --if-absent',
  ],
  async run(context, input) {
    if (input.uri === undefined) {
      throw new Failure('invalid_input', 'A resource needs a URI.', { hint: 'Give one with --uri <uri>.' });
    }
    const body = { uri: input.uri, ...saidBody(input), if_absent: input.if_absent || undefined };
    const made = await call<ShownResource & { readonly created: boolean }>(
      context,
      'POST',
      ['resources'],
      body,
    );
    context.printer.record(made, `Resource ${made.uri} ${outcomeOf(made)}`, columns);
  },
});

const update = command({
  name: 'admin resource update',
  summary: 'Change an API; what is not named stays.',
  description: '--scope replaces the whole list.',
  arguments: { resource },
  options: said,
  examples: ['authserver admin resource update https://api.example.com --access-token-lifetime 5m'],
  async run(context, input) {
    const path = ['resources', input.resource];
    const changed = await call<ShownResource>(context, 'PATCH', path, saidBody(input));
    context.printer.record(changed, `Resource ${changed.uri} changed.`, columns);
  },
});

const listAll = command({
  name: 'admin resource list',
  summary: 'List the APIs that tokens are made for.',
  examples: ['authserver admin resource list'],
  async run(context) {
    const resources = await readAll<ShownResource>(context, ['resources']);
    context.printer.list(resources, columns, 'There are no resources yet.');
  },
});

const show = command({
  name: 'admin resource show',
  summary: 'Show one API.',
  arguments: { resource },
  examples: ['authserver admin resource show https://api.example.com'],
  async run(context, input) {
    const shown = await call<ShownResource>(context, 'GET', ['resources', input.resource]);
    context.printer.record(shown, `Resource ${shown.uri}`, columns);
  },
});

const remove = command({
  name: 'admin resource delete',
  summary: 'Delete an API: no more tokens are made for it.',
  arguments: { resource },
  options: { yes },
  examples: ['authserver admin resource delete https://api.example.com --yes'],
  run: (context, input) =>
    deleteAfterAsking(context, `the resource ${input.resource}`, ['resources', input.resource], input.yes, {
      resource: input.resource,
    }),
});

export const adminResourceCommands: readonly Command[] = [create, listAll, show, update, remove];

function saidBody(input: {
  readonly name: string | undefined;
  readonly scopes: readonly string[];
  readonly access_token_lifetime: number | undefined;
}) {
  const { name, scopes, access_token_lifetime } = input;
  return { name, access_token_lifetime, scopes: scopes.length === 0 ? undefined : scopes.map(readScope) };
}

function readScope(pair: string): { name: string; description?: string } {
  const mark = pair.indexOf('=');
  return mark === -1 ? { name: pair } : { name: pair.slice(0, mark), description: pair.slice(mark + 1) };
}
