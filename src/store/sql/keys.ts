import { Failure } from '../../kernel/errors.ts';
import type { SigningKeyRecord } from '../records.ts';
import type { SigningKeyStore } from '../store.ts';
import { noteRevocation } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { announcing, type Reader, read, type Transaction, type Verbs, write } from './verb.ts';

const listKeys = statement<object>('keys.listKeys')((db) =>
  db.selectFrom('signing_keys').selectAll().orderBy('created_at').orderBy('kid'),
);
// Two unique indexes, one active and one pending key, decide every race.
export const insertKey = statement<SigningKeyRecord>('keys.insertKey')((db, key) =>
  db
    .insertInto('signing_keys')
    .values(
      columns(key, [
        'kid',
        'algorithm',
        'state',
        'public_jwk_json',
        'key_store',
        'created_at',
        'activates_at',
        'activated_at',
        'retires_at',
        'retired_at',
      ]),
    )
    .onConflict((conflict) => conflict.doNothing()),
);
const holdPending = statement<{ kid: string; now: number }>('keys.holdPending')((db, { kid, now }) =>
  db
    .updateTable('signing_keys')
    .set({ activated_at: now })
    .where('kid', '=', kid)
    .where('state', '=', 'pending'),
);
const findActive = statement<object>('keys.findActive')((db) =>
  db.selectFrom('signing_keys').select('kid').where('state', '=', 'active'),
);
/**
 * When the last access token of a key runs out. Read down the index on expiry, where the active key's tokens come first,
 * and no further than the tokens still in force, so that it costs little however many there are.
 */
const findLastExpiry = statement<{ kid: string; now: number }>('keys.findLastExpiry')((db, { kid, now }) =>
  db
    .selectFrom('issuances')
    .select('expires_at')
    .where('kid', '=', kid)
    .where('expires_at', '>', now)
    .orderBy('expires_at', 'desc')
    .limit(1),
);
const retireActive = statement<{ retires_at: number }>('keys.retireActive')((db, { retires_at }) =>
  db.updateTable('signing_keys').set({ state: 'retiring', retires_at }).where('state', '=', 'active'),
);
const activate = statement<{ kid: string }>('keys.activate')((db, { kid }) =>
  db.updateTable('signing_keys').set({ state: 'active' }).where('kid', '=', kid),
);
const retireDue = statement<{ now: number }>('keys.retireDue')((db, { now }) =>
  db
    .updateTable('signing_keys')
    .set({ state: 'retired', retired_at: now })
    .where('state', '=', 'retiring')
    .where('retires_at', '<=', now),
);
const retireEarly = statement<{ kid: string; from: 'pending' | 'retiring'; now: number }>('keys.retireEarly')(
  (db, { kid, from, now }) =>
    db
      .updateTable('signing_keys')
      .set({ state: 'retired', retired_at: now })
      .where('kid', '=', kid)
      .where('state', '=', from),
);
const compromiseIdle = statement<{ kid: string; now: number }>('keys.compromiseIdle')((db, { kid, now }) =>
  db
    .updateTable('signing_keys')
    .set({ state: 'compromised', retired_at: now })
    .where('kid', '=', kid)
    .where('state', 'in', ['pending', 'retiring', 'retired'])
    .returningAll(),
);
type Replaced = Pick<SigningKeyRecord, 'kid' | 'state' | 'retires_at' | 'retired_at'>;
const replaceActive = statement<Replaced>('keys.replaceActive')(
  (db, { kid, state, retires_at, retired_at }) =>
    db
      .updateTable('signing_keys')
      .set({ state, retires_at, retired_at })
      .where('kid', '=', kid)
      .where('state', '=', 'active')
      .returningAll(),
);
const findKey = statement<{ kid: string }>('keys.findKey')((db, { kid }) =>
  db.selectFrom('signing_keys').select('kid').where('kid', '=', kid),
);
const activatePending = statement<{ kid: string; now: number }>('keys.activatePending')((db, { kid, now }) =>
  db
    .updateTable('signing_keys')
    .set({ state: 'active', activated_at: now })
    .where('kid', '=', kid)
    .where('state', '=', 'pending'),
);
/** Ends of the stretches in which access tokens are walked through, in the order in which they run out. */
const findStretch = statement<{ after: number; limit: number }>('keys.findStretch')((db, { after, limit }) =>
  db
    .selectFrom('issuances')
    .select('expires_at')
    .where('expires_at', '>', after)
    .orderBy('expires_at')
    .limit(1)
    .offset(limit),
);
type Stretch = { kid: string; after: number; upto: number };
const countSigned = statement<Stretch>('keys.countSigned')((db, { kid, after, upto }) =>
  db
    .selectFrom('issuances')
    .select((select) => [select.fn.countAll().as('count'), select.fn.max('expires_at').as('last_expires_at')])
    .where('expires_at', '>', after)
    .where('expires_at', '<=', upto)
    .where('kid', '=', kid)
    .where('revoked_at', 'is', null),
);
const revokeSigned = statement<Stretch & { now: number }>('keys.revokeSigned')(
  (db, { kid, now, after, upto }) =>
    db
      .updateTable('issuances')
      .set({ revoked_at: now })
      .where('expires_at', '>', after)
      .where('expires_at', '<=', upto)
      .where('kid', '=', kid)
      .where('revoked_at', 'is', null),
);
const findAnyIssuance = statement<object>('keys.findAnyIssuance')((db) =>
  db.selectFrom('issuances').select('jti').limit(1),
);
const longestOfClients = statement<object>('keys.longestOfClients')((db) =>
  db.selectFrom('clients').select((select) => select.fn.max('access_token_lifetime').as('longest')),
);
const longestOfResources = statement<object>('keys.longestOfResources')((db) =>
  db.selectFrom('resources').select((select) => select.fn.max('access_token_lifetime').as('longest')),
);

const add = async (db: Transaction, key: SigningKeyRecord) =>
  (await db.run(insertKey, key)) === 1 ? ({ outcome: 'added' } as const) : ({ outcome: 'taken' } as const);

/** A verb that changes signing keys, of which other processes hear. */
const changes: typeof write = (run, onConflict) => announcing('signing_keys', write(run, onConflict));

/** Until when the key that signs now has to verify: its last access token has run out then. */
async function verifiesUntil(
  db: Transaction,
  active: { kid: string } | undefined,
  { now, retires_at, margin }: { now: number; retires_at: number; margin: number },
): Promise<number> {
  const last = active && (await db.first(findLastExpiry, { kid: active.kid, now }));
  return Math.max(retires_at, (last?.expires_at ?? 0) + margin);
}

/** With its row, so that a database that has never had the key will know it too. */
const noteCompromise = (db: Transaction, dropped: SigningKeyRecord, at: number) =>
  noteRevocation(db, { kind: 'key_compromised', at, subject: dropped.kid, detail: dropped });

/** Undoes the unit of work; its verb then answers that others were first. */
function changedMeanwhile(): Failure {
  return new Failure('conflict', 'The signing keys have changed meanwhile.');
}

/** Where the stretch after `after` ends, and where the next one begins; null when it is the last. */
export async function stretch(db: Reader, input: { after: number; limit: number }) {
  const end = await db.first(findStretch, input);
  return { upto: end?.expires_at ?? Number.MAX_SAFE_INTEGER, next: end?.expires_at ?? null };
}

export const keys: Verbs<SigningKeyStore> = {
  list: read(async (db) => db.all(listKeys, {})),
  addFirst: changes(async (db, { key }) =>
    (await db.first(listKeys, {})) ? { outcome: 'taken' } : add(db, key),
  ),
  addPending: changes(async (db, { key }) => add(db, key)),
  activate: changes(async (db, { kid, now, retires_at, margin }) => {
    if ((await db.run(holdPending, { kid, now })) === 0) return { outcome: 'unknown' };
    const active = await db.first(findActive, {});
    const until = await verifiesUntil(db, active, { now, retires_at, margin });
    await db.run(retireActive, { retires_at: until });
    await db.run(activate, { kid });
    return { outcome: 'activated' };
  }),
  retireDue: changes(async (db, input) => ({ retired: await db.run(retireDue, input) })),
  retire: changes(async (db, input) => ({
    outcome: (await db.run(retireEarly, input)) === 1 ? 'retired' : 'changed',
  })),
  compromise: changes(async (db, input) => {
    const dropped = await db.first(compromiseIdle, input);
    if (!dropped) return { outcome: 'changed' };
    await noteCompromise(db, dropped, input.now);
    return { outcome: 'compromised' };
  }),
  takeOver: changes(
    async (db, { former, becomes, successor, now, ...retirement }) => {
      const { kid } = successor;
      let dropped: SigningKeyRecord | undefined;
      if (former !== null) {
        const until = await verifiesUntil(db, { kid: former }, { now, ...retirement });
        const times =
          becomes === 'retiring'
            ? { retires_at: until, retired_at: null }
            : { retires_at: null, retired_at: now };
        const replaced = await db.first(replaceActive, { kid: former, state: becomes, ...times });
        if (!replaced) throw changedMeanwhile();
        if (becomes === 'compromised') dropped = replaced;
      }
      const isKnown = (await db.first(findKey, { kid })) !== undefined;
      const changed = isKnown
        ? await db.run(activatePending, { kid, now })
        : await db.run(insertKey, successor);
      if (changed === 0) throw changedMeanwhile();
      if (dropped) await noteCompromise(db, dropped, now);
      return { outcome: 'taken_over' };
    },
    { outcome: 'changed' },
  ),
  countSigned: read(async (db, { kid, after, limit }) => {
    const { upto, next } = await stretch(db, { after, limit });
    const found = await db.first(countSigned, { kid, after, upto });
    return { count: Number(found?.count ?? 0), last_expires_at: found?.last_expires_at ?? null, next };
  }),
  revokeSigned: write(async (db, { kid, now, after, limit }) => {
    const { upto, next } = await stretch(db, { after, limit });
    return { count: await db.run(revokeSigned, { kid, now, after, upto }), next };
  }),
  hasSigned: read(async (db) => (await db.first(findAnyIssuance, {})) !== undefined),
  longestTokenLifetime: read(async (db) => {
    const ofClients = await db.first(longestOfClients, {});
    const ofResources = await db.first(longestOfResources, {});
    return Math.max(Number(ofClients?.longest ?? 0), Number(ofResources?.longest ?? 0));
  }),
};
