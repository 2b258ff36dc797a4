/**
 * Clients that registered themselves and were never used since. Clients have no expiry to walk along, so the walk is by id;
 * they are few beside what tokens leave behind.
 */
import type { RawBuilder, sql as raw } from 'kysely';
import type { PurgePlace, PurgeWindow } from '../store.ts';
import { type PurgeLookVerb, type PurgeVerb, timed } from './purge-walk.ts';
import { statement } from './statement.ts';
import { type Reader, read, write } from './verb.ts';

/** Clients after one id and up to another; `until`: untouched since. */
interface Stretch {
  readonly after: string;
  readonly last: string;
  readonly until: number;
}

/**
 * Nobody has touched it for long, nothing hangs on it, and no administrator gave it anything. One that may have tokens of its
 * own stays: to see that it has none would mean to read all issuances, which no index tells apart by client; and it is no
 * spam, because registering it took an initial access token with a scope.
 */
function isAbandoned(sql: typeof raw, { until }: { readonly until: number }): RawBuilder<boolean> {
  const none = (table: string) =>
    sql`not exists (select 1 from ${sql.table(table)} as t where t.client_id = clients.id limit 1 offset 0)`;
  const tables = [
    'consents',
    'authorization_requests',
    'auth_codes',
    'token_families',
    'pushed_requests',
    'device_codes',
  ];
  return sql<boolean>`source = 'dynamic' and status = 'active' and updated_at <= ${until}
    and skip_consent = 0 and audiences_json = '[]'
    and replace(grant_types_json, '"client_credentials"', '') = grant_types_json
    and ${sql.join(tables.map(none), sql` and `)}`;
}

const listIds = statement<{ after: string; look: number }>('purge-clients.listIds')((db, { after, look }) =>
  db.selectFrom('clients').select('id').where('id', '>', after).orderBy('id').limit(look),
);
const holdAbandoned = statement<Stretch>('purge-clients.holdAbandoned')((db, input, sql) =>
  db
    .selectFrom('clients')
    .select('id')
    .where('id', '>', input.after)
    .where('id', '<=', input.last)
    .where(isAbandoned(sql, input))
    .modifyEnd(sql`/*postgres for update skip locked*/`),
);
/** Asks again: what came to hang on the client before it was held is seen only now. */
const deleteAbandoned = statement<{ id: string; until: number }>('purge-clients.deleteAbandoned')(
  (db, input, sql) => db.deleteFrom('clients').where('id', '=', input.id).where(isAbandoned(sql, input)),
);
const countAbandoned = statement<Stretch>('purge-clients.countAbandoned')((db, input, sql) =>
  db
    .selectFrom('clients')
    .where('id', '>', input.after)
    .where('id', '<=', input.last)
    .where(isAbandoned(sql, input))
    .select((select) => [select.fn.countAll<number>().as('ripe'), select.fn.min('updated_at').as('oldest')]),
);

/** The clients that a step looks at; undefined where none is left. */
async function stretchOf(db: Reader, { place, look, until }: PurgeWindow) {
  const after = String(place?.from ?? '');
  const ids = await db.all(listIds, { after, look });
  const last = ids.at(-1)?.id;
  const next: PurgePlace | null = last === undefined || ids.length < look ? null : { from: last, skip: 0 };
  return { next, looked: ids.length, stretch: last === undefined ? undefined : { after, last, until } };
}

export const purgeClients: PurgeVerb = write((db, input) =>
  timed(async () => {
    const { stretch, next } = await stretchOf(db, input);
    const held = stretch ? await db.all(holdAbandoned, stretch) : [];
    let gone = 0;
    for (const { id } of held) gone += await db.run(deleteAbandoned, { id, until: input.until });
    return { gone, next };
  }),
);

export const lookAtClients: PurgeLookVerb = read(async (db, input) => {
  const { stretch, next, looked } = await stretchOf(db, input);
  const found = stretch && (await db.first(countAbandoned, stretch));
  return { looked, ripe: Number(found?.ripe ?? 0), oldest: found?.oldest ?? null, next };
});
