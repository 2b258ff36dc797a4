import type { ClientRecord, ClientSecretRecord } from '../records.ts';
import type { ClientStore, Page } from '../store.ts';
import { narrowingOf } from './client-narrowing.ts';
import { noteRevocation, type Taken } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { read, readShared, type Transaction, type Verbs, write } from './verb.ts';

/** Set once, or by verbs of their own: an update of the metadata that was read earlier must not undo them. */
const FOUNDING = ['id', 'source', 'status', 'registration_token_hash', 'created_at'] as const;
const METADATA = [
  'name',
  'application_type',
  'token_endpoint_auth_method',
  'grant_types_json',
  'response_types_json',
  'redirect_uris_json',
  'post_logout_redirect_uris_json',
  'scope',
  'audiences_json',
  'jwks_json',
  'require_pkce',
  'skip_consent',
  'access_token_lifetime',
  'refresh_token_lifetime',
  'refresh_token_absolute_lifetime',
  'client_uri',
  'logo_uri',
  'policy_uri',
  'tos_uri',
  'contacts_json',
  'updated_at',
] as const;

const insertClient = statement<ClientRecord>('clients.insertClient')((db, client) =>
  db
    .insertInto('clients')
    .values(columns(client, [...FOUNDING, ...METADATA]))
    .onConflict((conflict) => conflict.doNothing()),
);
export const insertSecret = statement<ClientSecretRecord>('clients.insertSecret')((db, secret) =>
  db
    .insertInto('client_secrets')
    .values(columns(secret, ['id', 'client_id', 'secret_hash', 'created_at', 'expires_at'])),
);
export const findClient = statement<{ id: string }>('clients.findClient')((db, { id }) =>
  db.selectFrom('clients').selectAll().where('id', '=', id),
);
export const holdClient = statement<{ id: string }>('clients.holdClient')((db, { id }, sql) =>
  db.selectFrom('clients').selectAll().where('id', '=', id).modifyEnd(sql`/*postgres for update*/`),
);
const findSecrets = statement<{ id: string }>('clients.findSecrets')((db, { id }) =>
  db.selectFrom('client_secrets').selectAll().where('client_id', '=', id).orderBy('created_at', 'desc'),
);
const listClients = statement<Page>('clients.listClients')((db, { after, limit }) =>
  db.selectFrom('clients').selectAll().where('id', '>', after).orderBy('id').limit(limit),
);
export const updateClient = statement<ClientRecord>('clients.updateClient')((db, client) =>
  db.updateTable('clients').set(columns(client, METADATA)).where('id', '=', client.id),
);
export const setClientStatus = statement<Pick<ClientRecord, 'id' | 'status' | 'updated_at'>>(
  'clients.setStatus',
)((db, client) =>
  db
    .updateTable('clients')
    .set(columns(client, ['status', 'updated_at']))
    .where('id', '=', client.id),
);
const expireSecrets = statement<{ client_id: string; at: number }>('clients.expireSecrets')(
  (db, { client_id, at }) =>
    db
      .updateTable('client_secrets')
      .set({ expires_at: at })
      .where('client_id', '=', client_id)
      .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', at)]))
      .returning('created_at'),
);
export const deleteClient = statement<{ id: string }>('clients.deleteClient')((db, { id }) =>
  db.deleteFrom('clients').where('id', '=', id),
);

/** Ends the secrets that there are; what is to be noted of it. */
async function endSecrets(
  db: Transaction,
  { client_id, now, former_expire_at }: { client_id: string; now: number; former_expire_at: number },
): Promise<Taken> {
  const former = await db.all(expireSecrets, { client_id, at: former_expire_at });
  // Not before any of them was made, whatever the clock says: a replay ends those up to this time.
  const at = Math.max(now, ...former.map(({ created_at }) => created_at));
  return { kind: 'client_secret_rotated', at, client_id, detail: { former_expire_at } };
}

export async function addClient(
  db: Transaction,
  client: ClientRecord,
  secret: ClientSecretRecord | null,
): Promise<boolean> {
  if ((await db.run(insertClient, client)) === 0) return false;
  if (secret !== null) await db.run(insertSecret, secret);
  return true;
}

const usesSecret = ({ token_endpoint_auth_method }: ClientRecord) =>
  token_endpoint_auth_method.startsWith('client_secret');

export const clients: Verbs<ClientStore> = {
  create: write(async (db, { client, secret }) => ({
    outcome: (await addClient(db, client, secret)) ? 'created' : 'taken',
  })),
  find: readShared(async (db, input) => {
    const client = await db.first(findClient, input);
    if (!client) return undefined;
    const secrets = usesSecret(client) ? await db.all(findSecrets, input) : [];
    // The row is ours alone; to copy its many columns costs as much as to read them.
    return Object.assign(client, { secrets });
  }),
  list: read(async (db, input) => db.all(listClients, input)),
  update: write(async (db, { client }) => {
    const former = await db.first(holdClient, client);
    if (!former) return { outcome: 'unknown' };
    await db.run(updateClient, client);
    const { id: client_id, updated_at: at } = client;
    // Whoever proves itself otherwise has no secret any more, not even when it goes back to that.
    if (usesSecret(former) && !usesSecret(client))
      await noteRevocation(db, await endSecrets(db, { client_id, now: at, former_expire_at: at }));
    const detail = narrowingOf(former, client);
    if (detail) await noteRevocation(db, { kind: 'client_narrowed', at, client_id, detail });
    return { outcome: 'updated' };
  }),
  setStatus: write(async (db, { id, status, now }) => {
    if ((await db.run(setClientStatus, { id, status, updated_at: now })) === 0) return { outcome: 'unknown' };
    const kind = status === 'disabled' ? 'client_disabled' : 'client_enabled';
    await noteRevocation(db, { kind, at: now, client_id: id });
    return { outcome: 'set' };
  }),
  addSecret: write(async (db, { secret, former_expire_at }) => {
    if (!(await db.first(findClient, { id: secret.client_id }))) return { outcome: 'unknown' };
    const { client_id, id: subject, created_at: now } = secret;
    const ended = await endSecrets(db, { client_id, now, former_expire_at });
    await db.run(insertSecret, secret);
    await noteRevocation(db, { ...ended, subject });
    return { outcome: 'added' };
  }),
  remove: write(async (db, { id, now }) => {
    if ((await db.run(deleteClient, { id })) === 0) return { outcome: 'unknown' };
    await noteRevocation(db, { kind: 'client_removed', at: now, client_id: id });
    return { outcome: 'removed' };
  }),
};
