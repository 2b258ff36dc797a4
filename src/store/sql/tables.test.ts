import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { query } from '../../../test/setup/cluster.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../../../test/setup/engines.ts';
import { storageChoice } from '../../../test/setup/fresh-store.ts';
import { migrateSchema } from '../../app/open-store.ts';
import { systemClock } from '../../kernel/clock.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { Migration } from '../migrations/migration.ts';
import { timeline } from '../migrations/timeline.ts';
import { type TableShape, tablesAfter } from './tables.ts';

/** What no real step does yet. */
const later: readonly Migration[] = [
  {
    version: 9001,
    name: 'wider',
    release: '9.0.0',
    statements: [
      `alter table users add column nickname text default 'a, b'`,
      `create table pairs (
        one text not null check (one in ('a', 'b')),
        two bigint not null references audit_events (sequence),
        unique (two),
        primary key (two, one)
      )`,
    ],
  },
  {
    version: 9002,
    name: 'narrower',
    release: '9.0.0',
    statements: ['alter table resources drop column access_token_lifetime', 'drop table device_codes'],
  },
];
const longTimeline = [...timeline, ...later];

describeEngines('the tables', (engine) => {
  it.each(longTimeline.map(({ version }) => version))(
    'after step %i are those of the database',
    async (version) => {
      await using fresh = await freshStorage(engine);
      const steps = longTimeline.filter((step) => step.version <= version);
      await migrateSchema(storageChoice(fresh), {
        clock: systemClock,
        random: systemRandom,
        timeline: steps,
      });
      expect(byName(tablesAfter(steps))).toEqual(byName(await liveTables(fresh)));
    },
  );
});

function byName(tables: readonly TableShape[]): readonly TableShape[] {
  return tables.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function liveTables(fresh: FreshStorage): Promise<readonly TableShape[]> {
  if (fresh.driver === 'postgres') {
    const tables = await query(
      fresh.dsn,
      `select c.relname as name,
        (select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, null)) order by attnum)
          from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) as columns,
        (select json_agg(attname order by place) from pg_index x, unnest(x.indkey) with ordinality k (number, place), pg_attribute a
          where x.indrelid = c.oid and x.indisprimary and a.attrelid = c.oid and a.attnum = k.number) as key
       from pg_class c where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace and c.relname <> 'schema_lease'`,
    );
    return tables as unknown as readonly TableShape[];
  }
  using db = new DatabaseSync(fresh.path, { readOnly: true });
  const names = db
    .prepare("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'")
    .all();
  return names.map(({ name }) => {
    const columns = db.prepare('select name, type, pk from pragma_table_info(?)').all(String(name));
    return {
      name: String(name),
      columns: columns.map((column) => ({
        name: String(column['name']),
        type: String(column['type']).toLowerCase(),
      })),
      key: columns
        .filter((column) => column['pk'] !== 0)
        .sort((a, b) => Number(a['pk']) - Number(b['pk']))
        .map((column) => String(column['name'])),
    } as TableShape;
  });
}
