/** What becomes of each thing: what would come back, what stands in its way, and what is done about it. */
import type { Clock } from '../../kernel/clock.ts';
import type {
  ClientRecord,
  ClientSecretRecord,
  PasswordRecord,
  ResourceRecord,
  UserRecord,
} from '../../store/records.ts';
import type { Aggregates, FormerClient, FormerUser, Outlook } from '../../store/store.ts';
import type { FoundThing, PickedRow } from './picker.ts';
import type { Conflict, ConflictPolicy, ThingReport } from './report.ts';

export type ReinstateStores = Pick<
  Aggregates,
  'deployment' | 'users' | 'clients' | 'resources' | 'consents' | 'reinstate'
>;

/** Rows of all things but their consents, by the id that they belong to. */
export interface FormerRows {
  readonly users: ReadonlyMap<string, UserRecord>;
  readonly passwords: ReadonlyMap<string, PasswordRecord>;
  readonly clients: ReadonlyMap<string, ClientRecord>;
  readonly secrets: ReadonlyMap<string, readonly ClientSecretRecord[]>;
  readonly resources: ReadonlyMap<string, ResourceRecord>;
}

/** A thing with what will be written of it. */
export type Prospect = { readonly report: ThingReport } & (
  | { readonly kind: 'user'; readonly former: FormerUser; readonly until: string }
  | { readonly kind: 'client'; readonly former: FormerClient; readonly until: string }
  | { readonly kind: 'resource'; readonly former: ResourceRecord }
);

/** Gathers rows up to the first consent; those are many, and stay where they are. */
export async function gatherRows(rows: AsyncIterable<PickedRow>): Promise<FormerRows> {
  const users = new Map<string, UserRecord>();
  const passwords = new Map<string, PasswordRecord>();
  const clients = new Map<string, ClientRecord>();
  const secrets = new Map<string, ClientSecretRecord[]>();
  const resources = new Map<string, ResourceRecord>();
  for await (const { table, row } of rows) {
    if (table === 'consents') break;
    else if (table === 'users') users.set(row.id, row);
    else if (table === 'passwords') passwords.set(row.user_id, row);
    else if (table === 'clients') clients.set(row.id, row);
    else if (table === 'client_secrets')
      secrets.set(row.client_id, [...(secrets.get(row.client_id) ?? []), row]);
    else resources.set(row.id, row);
  }
  return { users, passwords, clients, secrets, resources };
}

interface Asked {
  readonly store: ReinstateStores;
  readonly clock: Clock;
  readonly rows: FormerRows;
  /** The last revocation that the backup knows. */
  readonly seen: string;
  readonly policy: ConflictPolicy;
}

/** Looks at one thing; writes nothing. */
export function lookAt(thing: FoundThing, asked: Asked): Promise<Prospect> {
  if (thing.kind === 'user') return lookAtUser(thing, asked);
  return thing.kind === 'client' ? lookAtClient(thing, asked) : lookAtResource(thing, asked);
}

async function lookAtUser(thing: FoundThing, { store, rows, seen, policy }: Asked): Promise<Prospect> {
  const user = present(rows.users.get(thing.id), thing);
  const password = rows.passwords.get(thing.id) ?? null;
  const outlook = await store.reinstate.lookAtUser({ user, password, seen });
  const { former, current, rivals, until } = outlook;
  const taken = (['username', 'email'] as const).flatMap((column): Conflict[] => {
    const by = rivals.find((rival) => rival[column] !== null && rival[column] === former.user[column]);
    return by ? [{ kind: 'taken', column, by: by.id }] : [];
  });
  // Of one who is there, the password that is in force stays, and so do the names unless they are to be replaced.
  const conflicts = current ? differing(former.user, current, taken) : taken;
  const action = actionOf(conflicts, current, policy);
  const report = {
    ...thing,
    ...standing(outlook, action, conflicts),
    password: password === null ? null : action === 'add' && former.password !== null,
    secrets: 0,
  };
  return { kind: 'user', report, former, until };
}

async function lookAtClient(
  thing: FoundThing,
  { store, clock, rows, seen, policy }: Asked,
): Promise<Prospect> {
  const client = present(rows.clients.get(thing.id), thing);
  const secrets = rows.secrets.get(thing.id) ?? [];
  const outlook = await store.reinstate.lookAtClient({ client, secrets, seen, now: clock.now() });
  const { former, current, until } = outlook;
  const conflicts = current ? differing(former.client, current, []) : [];
  // Narrowed until nothing was left, it would have to be disabled, which is not for metadata to do.
  const isEmptied =
    client.status === 'active' && former.client.status === 'disabled' && current?.status === 'active';
  const action = actionOf(conflicts, current, isEmptied && policy === 'replace' ? 'report' : policy);
  const report = {
    ...thing,
    ...standing(outlook, action, conflicts),
    password: null,
    secrets: action === 'add' ? former.secrets.length : 0,
  };
  return { kind: 'client', report, former, until };
}

async function lookAtResource(thing: FoundThing, { store, rows, seen, policy }: Asked): Promise<Prospect> {
  const resource = present(rows.resources.get(thing.id), thing);
  const outlook = await store.reinstate.lookAtResource({ resource, seen });
  const { former, current } = outlook;
  const rival = await store.resources.findByUri({ uri: former.uri });
  const isTaken = rival !== undefined && rival.id !== former.id;
  const taken: Conflict[] = isTaken ? [{ kind: 'taken', column: 'uri', by: rival.id }] : [];
  const conflicts = current ? differing(former, current, taken) : taken;
  const action = actionOf(conflicts, current, policy);
  const report = {
    ...thing,
    ...standing(outlook, action, conflicts),
    password: null,
    secrets: 0,
  };
  return { kind: 'resource', report, former };
}

/** What every report says, whatever the thing is. */
function standing(
  { held, current, removed_at }: Outlook<unknown, unknown>,
  action: ThingReport['action'],
  conflicts: readonly Conflict[],
) {
  return {
    action,
    conflicts,
    held: action === 'add' || action === 'replace' ? held : [],
    removed_at: current ? null : removed_at,
  };
}

function actionOf(
  conflicts: readonly Conflict[],
  current: object | null,
  policy: ConflictPolicy,
): ThingReport['action'] {
  if (conflicts.length === 0) return current ? 'none' : 'add';
  const mayReplace = current !== null && conflicts.every(({ kind }) => kind === 'differs');
  return policy === 'replace' && mayReplace ? 'replace' : 'left';
}

/** What is set once, or by verbs of its own: whoever puts metadata back leaves that as it is now. */
const OWN_VERBS = new Set(['id', 'status', 'source', 'registration_token_hash', 'created_at', 'updated_at']);

type Made = { readonly id: string; readonly created_at: number };

function differing(former: Made, current: Made, taken: readonly Conflict[]): readonly Conflict[] {
  if (former.created_at !== current.created_at) return [{ kind: 'taken', column: 'id', by: current.id }];
  const now = new Map(Object.entries(current));
  const columns = Object.entries(former)
    .filter(([column, value]) => !OWN_VERBS.has(column) && now.get(column) !== value)
    .map(([column]) => column);
  const stillTaken = taken.filter(
    (conflict) => conflict.kind === 'taken' && columns.includes(conflict.column),
  );
  return columns.length === 0 ? [] : [{ kind: 'differs', columns }, ...stillTaken];
}

function present<Row>(row: Row | undefined, { kind, id }: FoundThing): Row {
  if (row === undefined) throw new TypeError(`the rows of ${kind} ${id} were not laid down`);
  return row;
}
