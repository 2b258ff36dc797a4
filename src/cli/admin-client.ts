import { readFileSync } from 'node:fs';
import { clientKindNames } from '../admin/client-kinds.ts';
import { formatDuration } from '../kernel/duration.ts';
import { Failure } from '../kernel/errors.ts';
import { call, deleteAfterAsking, ifAbsent, outcomeOf, readAll, yes } from './admin-calls.ts';
import { type CliContext, type Command, command } from './command.ts';
import { choice, duration, flag, list, text, unless } from './option.ts';
import { type Column, column, moment, orDash, yesNo } from './print/printer.ts';

/** A client as the admin API shows it; the secret only when it has just been made. */
interface ShownClient {
  readonly client_id: string;
  readonly client_name: string;
  readonly client_secret?: string;
  readonly status: string;
  readonly source: string;
  readonly application_type: string;
  readonly token_endpoint_auth_method: string;
  readonly grant_types: readonly string[];
  readonly redirect_uris: readonly string[];
  readonly scope: string;
  readonly audiences: readonly string[];
  readonly require_pkce: boolean;
  readonly skip_consent: boolean;
  /** Seconds. */
  readonly access_token_lifetime?: number;
  readonly secrets?: readonly { readonly created_at: number; readonly expires_at: number | null }[];
  readonly created_at: number;
}

const client_id = 'client id';

const columns: readonly Column<ShownClient>[] = [
  column('id', (client) => client.client_id),
  column('name', (client) => client.client_name),
  column('type', (client) => client.application_type),
  column('authentication', (client) => client.token_endpoint_auth_method),
  column('status', (client) => client.status),
  column('source', (client) => client.source),
  column('created', (client) => moment(client.created_at)),
];

const fields: readonly Column<ShownClient>[] = [
  ...columns,
  column('grants', (client) => client.grant_types.join(', ')),
  column('redirect URIs', (client) => orDash(client.redirect_uris.join('  '))),
  column('scope', (client) => orDash(client.scope)),
  column('audiences', (client) => orDash(client.audiences.join('  '))),
  column('PKCE required', (client) => yesNo(client.require_pkce)),
  column('consent skipped', (client) => yesNo(client.skip_consent)),
  column('access tokens live', ({ access_token_lifetime: seconds }) =>
    seconds === undefined ? 'as the server says' : formatDuration(seconds * 1000),
  ),
  column('secrets', ({ secrets = [] }) => orDash(secrets.map(describeSecret).join('  '))),
];

/** What can be said at a creation and changed later. */
const metadata = {
  client_name: text('--name <name>', 'what people read on the consent page'),
  redirect_uris: list('--redirect-uri <uri>', 'where answers may be sent (repeatable)'),
  post_logout_redirect_uris: list(
    '--post-logout-redirect-uri <uri>',
    'where to go after signing out (repeatable)',
  ),
  scope: text('--scope <scope>', 'the most it may ask for, space separated'),
  grant_types: list(
    '--grant-type <grant>',
    'authorization_code, refresh_token or client_credentials (repeatable)',
  ),
  token_endpoint_auth_method: choice('--auth-method <method>', 'how it proves itself at the token endpoint', [
    'none',
    'client_secret_basic',
    'client_secret_post',
    'private_key_jwt',
  ]),
  jwks: text('--jwks <file>', 'its public keys for private_key_jwt, as a JWK set'),
  audiences: list(
    '--audience <uri>',
    'a resource that it serves, whose tokens it may introspect (repeatable)',
  ),
  client_uri: text('--client-uri <uri>', 'its home page'),
  logo_uri: text('--logo-uri <uri>', 'its logo'),
  policy_uri: text('--policy-uri <uri>', 'its privacy policy'),
  tos_uri: text('--tos-uri <uri>', 'its terms of service'),
  contacts: list('--contact <address>', 'who answers for it (repeatable)'),
  access_token_lifetime: duration(
    '--access-token-lifetime <duration>',
    'such as 10m, instead of what the server says',
  ),
  refresh_token_lifetime: duration(
    '--refresh-token-lifetime <duration>',
    'of a refresh token that is not used',
  ),
  refresh_token_absolute_lifetime: duration(
    '--refresh-token-absolute-lifetime <duration>',
    'from the sign-in to the last refresh',
  ),
};

const create = command({
  name: 'admin client create',
  summary: 'Register an application.',
  description:
    'Without --id and --secret-stdin both are made. A secret that was made is shown once, here.\n' +
    'Kinds: web or confidential (a server that keeps a secret), native or public (no secret), service (acts for itself).',
  options: {
    id: text('--id <id>', 'its client_id; made when not given'),
    kind: choice('--kind <kind>', 'what goes together; web when not given', clientKindNames),
    ...metadata,
    secret_stdin: flag('--secret-stdin', 'read its secret (at least 32 characters) from standard input'),
    skip_consent: flag('--skip-consent', 'do not ask people for consent: it is your own'),
    require_pkce: unless('--no-require-pkce', 'allow requests without PKCE; nonce is required instead'),
    if_absent: ifAbsent,
  },
  examples: [
    'authserver admin client create --name Shop --redirect-uri https://shop.example.com/callback',
    'authserver admin client create --id cli --kind native --redirect-uri http://127.0.0.1/callback --if-absent',
    'authserver admin client create --id billing --kind service --scope "invoices.read"',
  ],
  async run(context, input) {
    const { id, kind, secret_stdin, skip_consent, require_pkce, if_absent, ...rest } = input;
    const given = secret_stdin ? await context.readSecret('Client secret', { stdin: true }) : undefined;
    const client = await call<ShownClient & { readonly created: boolean }>(context, 'POST', ['clients'], {
      client_id: id,
      kind,
      client_secret: given,
      skip_consent: skip_consent || undefined,
      require_pkce: require_pkce ? undefined : false,
      if_absent: if_absent || undefined,
      ...metadataBody(rest),
    });
    printClient(context, client, ` ${outcomeOf(client)}`);
  },
});

const update = command({
  name: 'admin client update',
  summary: 'Change an application; what is not named stays.',
  description: 'A repeatable option replaces the whole list.',
  arguments: { client_id },
  options: {
    ...metadata,
    skip_consent: choice('--skip-consent <yes|no>', 'whether people are not asked for consent', [
      'yes',
      'no',
    ]),
    require_pkce: choice('--require-pkce <yes|no>', 'whether requests need PKCE', ['yes', 'no']),
  },
  examples: [
    'authserver admin client update shop --redirect-uri https://shop.example.com/cb --access-token-lifetime 5m',
  ],
  async run(context, input) {
    const { client_id: id, skip_consent, require_pkce, ...rest } = input;
    const changes = {
      ...metadataBody(rest),
      ...(skip_consent && { skip_consent: skip_consent === 'yes' }),
      ...(require_pkce && { require_pkce: require_pkce === 'yes' }),
    };
    if (Object.keys(changes).length === 0) {
      throw new Failure('invalid_input', 'Nothing was named that should change.', {
        hint: 'Run the command with --help to see what can change.',
      });
    }
    const client = await call<ShownClient>(context, 'PATCH', ['clients', id], changes);
    printClient(context, client, ' changed.');
  },
});

const listAll = command({
  name: 'admin client list',
  summary: 'List the applications.',
  examples: ['authserver admin client list', 'authserver admin client list --json'],
  async run(context) {
    const clients = await readAll<ShownClient>(context, ['clients']);
    context.printer.list(clients, columns, 'There are no clients yet.');
  },
});

const show = command({
  name: 'admin client show',
  summary: 'Show one application.',
  arguments: { client_id },
  examples: ['authserver admin client show shop'],
  async run(context, input) {
    printClient(context, await call(context, 'GET', ['clients', input.client_id]), '');
  },
});

const rotateSecret = command({
  name: 'admin client rotate-secret',
  summary: 'Give an application another secret; the former one stays good for a day.',
  arguments: { client_id },
  options: {
    overlap: duration(
      '--overlap <duration>',
      'how long the former secrets stay good: 24h when not given, 0 for not at all',
    ),
    secret_stdin: flag('--secret-stdin', 'read the secret (at least 32 characters) from standard input'),
  },
  examples: [
    'authserver admin client rotate-secret shop',
    'authserver admin client rotate-secret shop --overlap 0',
  ],
  async run(context, input) {
    const given = input.secret_stdin ? await context.readSecret('Client secret', { stdin: true }) : undefined;
    const body = { client_secret: given, overlap: input.overlap };
    const client = await call<ShownClient>(context, 'POST', ['clients', input.client_id, 'secrets'], body);
    printClient(context, client, ' has a new secret.');
  },
});

const disable = command({
  name: 'admin client disable',
  summary: 'Turn an application away: its tokens are void at once.',
  arguments: { client_id },
  examples: ['authserver admin client disable shop'],
  async run(context, input) {
    const client = await call<ShownClient>(context, 'POST', ['clients', input.client_id, 'disable']);
    printClient(context, client, ' is disabled.');
  },
});

const enable = command({
  name: 'admin client enable',
  summary: 'Let a disabled application in again.',
  arguments: { client_id },
  examples: ['authserver admin client enable shop'],
  async run(context, input) {
    const client = await call<ShownClient>(context, 'POST', ['clients', input.client_id, 'enable']);
    printClient(context, client, ' is enabled.');
  },
});

const remove = command({
  name: 'admin client delete',
  summary: 'Delete an application with its secrets, consents and tokens.',
  arguments: { client_id },
  options: { yes },
  examples: ['authserver admin client delete shop', 'authserver admin client delete shop --yes'],
  run: (context, input) =>
    deleteAfterAsking(context, `the client ${input.client_id}`, ['clients', input.client_id], input.yes, {
      client_id: input.client_id,
    }),
});

export const adminClientCommands: readonly Command[] = [
  create,
  listAll,
  show,
  update,
  rotateSecret,
  disable,
  enable,
  remove,
];

function printClient({ printer }: CliContext, client: ShownClient, what: string): void {
  const { client_secret: secret } = client;
  const shown = secret === undefined ? fields : [...fields, column<ShownClient>('secret', () => secret)];
  printer.record(client, `Client ${client.client_id}${what}`, shown);
  if (secret !== undefined)
    printer.next('The secret is shown this once and cannot be read back: store it now.');
}

function describeSecret({
  created_at,
  expires_at,
}: {
  created_at: number;
  expires_at: number | null;
}): string {
  const ends = expires_at === null ? '' : ` until ${moment(expires_at)}`;
  return `from ${moment(created_at)}${ends}`;
}

/** What was said of the metadata: an empty list or an absent text was not. */
function metadataBody(input: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const said = Object.entries(input).filter(
    ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
  );
  return Object.fromEntries(
    said.map(([name, value]) => [name, name === 'jwks' ? readJwks(String(value)) : value]),
  );
}

function readJwks(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (cause) {
    throw new Failure('invalid_input', `The file ${file} cannot be read as JSON.`, {
      detail: cause instanceof Error ? cause.message : String(cause),
      hint: '--jwks takes a file with a JWK set: {"keys": [...]}.',
      cause,
    });
  }
}
