/** Single things out of a backup, put back beside what has gone on since. Which of them, and why, is said in ops/reinstate. */
import type { ClientRecord, ConsentRecord, RevocationKind, UserRecord } from '../records.ts';
import type { ReinstateStore } from '../store.ts';
import { addClient, findClient, insertSecret } from './clients.ts';
import { insertConsent } from './consents.ts';
import { heldClient, heldResource, heldUser } from './held-back.ts';
import { stretch } from './keys.ts';
import { findResource } from './resources.ts';
import { OWN } from './revocations.ts';
import { statement } from './statement.ts';
import { findById, insertPassword, insertUser } from './users.ts';
import { type Reader, read, type Transaction, type Verbs, write } from './verb.ts';

const OF_USERS: readonly RevocationKind[] = [
  'password_changed',
  'user_disabled',
  'user_enabled',
  'user_removed',
];
const OF_CLIENTS: readonly RevocationKind[] = [
  'client_disabled',
  'client_enabled',
  'client_narrowed',
  'client_secret_rotated',
  'client_removed',
];
const OF_RESOURCES: readonly RevocationKind[] = ['resource_narrowed', 'resource_removed'];

type Since = { id: string; after: string };

const sinceOfUser = statement<Since>('reinstate.sinceOfUser')((db, { id, after }) =>
  db
    .selectFrom('revocations')
    .select(OWN)
    .where('id', '>', after)
    .where('user_id', '=', id)
    .where('kind', 'in', OF_USERS)
    .orderBy('id'),
);
const sinceOfClient = statement<Since>('reinstate.sinceOfClient')((db, { id, after }) =>
  db
    .selectFrom('revocations')
    .select(OWN)
    .where('id', '>', after)
    .where('client_id', '=', id)
    .where('kind', 'in', OF_CLIENTS)
    .orderBy('id'),
);
const sinceOfResource = statement<Since>('reinstate.sinceOfResource')((db, { id, after }) =>
  db
    .selectFrom('revocations')
    .select(OWN)
    .where('id', '>', after)
    .where('subject', '=', id)
    .where('kind', 'in', OF_RESOURCES)
    .orderBy('id'),
);
const lastRevocation = statement<object>('reinstate.lastRevocation')((db) =>
  db.selectFrom('revocations').select('id').orderBy('id', 'desc').limit(1),
);
const withdrawnByUser = statement<Since & { limit: number }>('reinstate.withdrawnByUser')(
  (db, { id, after, limit }) =>
    db
      .selectFrom('revocations')
      .select(OWN)
      .where('id', '>', after)
      .where('user_id', '=', id)
      .where('kind', '=', 'grant_withdrawn')
      .orderBy('id')
      .limit(limit),
);
const withdrawnFromClient = statement<Since & { limit: number }>('reinstate.withdrawnFromClient')(
  (db, { id, after, limit }) =>
    db
      .selectFrom('revocations')
      .select(OWN)
      .where('id', '>', after)
      .where('client_id', '=', id)
      .where('kind', '=', 'grant_withdrawn')
      .orderBy('id')
      .limit(limit),
);
const findRivals = statement<Pick<UserRecord, 'id' | 'username' | 'email'>>('reinstate.findRivals')(
  (db, { id, username, email }) =>
    db
      .selectFrom('users')
      .select(['id', 'username', 'email'])
      .where('id', '<>', id)
      // No row has the address null, so that a user without one has no rival by it.
      .where((where) => where.or([where('username', '=', username), where('email', '=', email)]))
      .orderBy('id'),
);
type Stretch = { client_id: string; after: number; upto: number; now: number };
const revokeIssued = statement<Stretch>('reinstate.revokeIssued')((db, { client_id, after, upto, now }) =>
  db
    .updateTable('issuances')
    .set({ revoked_at: now })
    .where('expires_at', '>', after)
    .where('expires_at', '<=', upto)
    .where('client_id', '=', client_id)
    .where('revoked_at', 'is', null),
);

/** The id of the last revocation of all; empty before the first. */
async function newest(db: Reader): Promise<string> {
  return (await db.first(lastRevocation, {}))?.id ?? '';
}

const removedAt = (revocations: readonly { kind: RevocationKind; at: number }[], kind: RevocationKind) =>
  revocations.findLast((revocation) => revocation.kind === kind)?.at ?? null;

async function addConsents(db: Transaction, consents: readonly ConsentRecord[]): Promise<number> {
  let added = 0;
  for (const consent of consents) {
    const user: UserRecord | undefined = await db.first(findById, { id: consent.user_id });
    const client: ClientRecord | undefined = await db.first(findClient, { id: consent.client_id });
    // Made again under the same id, it is another that nobody has allowed anything.
    const isTheirs = [user, client].every((party) => party && party.created_at <= consent.granted_at);
    if (isTheirs) added += await db.run(insertConsent, consent);
  }
  return added;
}

export const reinstate: Verbs<ReinstateStore> = {
  lookAtUser: read(async (db, { user, password, seen }) => {
    // Asked first: what is revoked while the rest is read is found out by whoever writes.
    const until = await newest(db);
    const since = await db.all(sinceOfUser, { id: user.id, after: seen });
    return {
      ...heldUser({ user, password }, since),
      removed_at: removedAt(since, 'user_removed'),
      until,
      current: (await db.first(findById, user)) ?? null,
      rivals: await db.all(findRivals, user),
    };
  }),
  lookAtClient: read(async (db, { client, secrets, seen, now }) => {
    const until = await newest(db);
    const since = await db.all(sinceOfClient, { id: client.id, after: seen });
    return {
      ...heldClient({ client, secrets }, since, now),
      removed_at: removedAt(since, 'client_removed'),
      until,
      current: (await db.first(findClient, client)) ?? null,
    };
  }),
  lookAtResource: read(async (db, { resource, seen }) => {
    const until = await newest(db);
    const since = await db.all(sinceOfResource, { id: resource.id, after: seen });
    return {
      ...heldResource(resource, since),
      removed_at: removedAt(since, 'resource_removed'),
      until,
      current: (await db.first(findResource, resource)) ?? null,
    };
  }),
  withdrawnBy: read(async (db, input) => db.all(withdrawnByUser, input)),
  withdrawnFrom: read(async (db, input) => db.all(withdrawnFromClient, input)),
  user: write(async (db, { user, password, until }) => {
    if ((await db.all(sinceOfUser, { id: user.id, after: until })).length > 0) return { outcome: 'changed' };
    if ((await db.run(insertUser, user)) === 0) return { outcome: 'taken' };
    if (password !== null) await db.run(insertPassword, password);
    return { outcome: 'reinstated' };
  }),
  voidTokens: write(async (db, { client_id, now, after, limit }) => {
    const { upto, next } = await stretch(db, { after, limit });
    return { count: await db.run(revokeIssued, { client_id, after, upto, now }), next };
  }),
  client: write(async (db, { client, secrets, until }) => {
    if ((await db.all(sinceOfClient, { id: client.id, after: until })).length > 0)
      return { outcome: 'changed' };
    if (!(await addClient(db, client, null))) return { outcome: 'taken' };
    for (const secret of secrets) await db.run(insertSecret, secret);
    return { outcome: 'reinstated' };
  }),
  consents: write(
    async (db, { consents }) => ({ outcome: 'added', added: await addConsents(db, consents) }),
    { outcome: 'changed' },
  ),
};
