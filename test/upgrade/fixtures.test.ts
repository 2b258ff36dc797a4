// A database of each schema version, with data, comes to the newest schema with every row it had; damaged twins of it do
// not, or are healed, and never stop halfway.

import { expect, it } from 'vitest';
import { planSchema } from '../../src/app/open-store.ts';
import { timeline } from '../../src/store/migrations/timeline.ts';
import { fixtureText } from '../../tools/schema-fixture.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';
import {
  ask,
  digestOf,
  fixtureVersions,
  loadFixture,
  migrate,
  openSession,
  type Row,
  rowsOf,
  script,
} from './database.ts';
import { addNickname, indexNickname } from './steps.ts';

describeEngines('a database of an older schema version', (engine) => {
  it('is kept for every version', () => {
    expect(fixtureVersions).toEqual(timeline.map(({ version }) => version));
  });

  it.each(fixtureVersions)('of version %i is what that version made', async (version) => {
    await using made = await freshStorage(engine);
    await using kept = await freshStorage(engine);
    await migrate(made, { timeline: timeline.filter((step) => step.version <= version) });
    await loadFixture(kept, version);
    expect(await digestOf(kept)).toBe(await digestOf(made));
    for (const [table, rows] of await rowsOf(kept)) expect(rows.length, table).toBeGreaterThan(0);
  });

  it.each(fixtureVersions)('of version %i keeps every row, and gets the newest schema', async (version) => {
    await using fresh = await freshStorage(engine);
    await using newest = await freshStorage(engine);
    await migrate(newest);
    await loadFixture(fresh, version);
    const before = await rowsOf(fresh);
    const taken = await migrate(fresh);
    expect(taken.map((step) => step.version)).toEqual(
      timeline.map((step) => step.version).filter((step) => step > version),
    );
    const after = await rowsOf(fresh);
    for (const [table, rows] of before) {
      const columns = Object.keys(rows[0] ?? {});
      const kept = after
        .get(table)
        ?.filter((row) => table !== 'schema_migrations' || Number(row['version']) <= version);
      expect(
        kept?.map((row) => only(row, columns)),
        table,
      ).toEqual(rows);
    }
    expect(await digestOf(fresh)).toBe(await digestOf(newest));
    expect(await migrate(fresh)).toEqual([]);
  });
});

/** What somebody or something did to a database of version 1, and what is said about it. */
const damaged: readonly { name: string; damage: string; says: RegExp; hint: RegExp }[] = [
  {
    name: 'a step half taken by hand',
    damage: 'create table leases (name text primary key); create table data_keys (id text primary key)',
    says: /already has what schema step 2 \(day-two\) is to make: table leases, table data_keys\.$/,
    hint: /Restore the backup made before the upgrade, then run `authserver migrate` again\..*`drop table leases`/,
  },
  {
    name: 'an edited record of a step',
    damage: "update schema_migrations set checksum = 'edited' where version = 1",
    says: /Schema step 1 \(foundation\) was applied with other content/,
    hint: /Install the release that made this database/,
  },
  {
    name: 'a step of a newer version',
    damage: "insert into schema_migrations values (9999, 'future', 'c', 1)",
    says: /has schema step 9999 \(future\), which this version does not know/,
    hint: /Start that version, or restore the backup made before the upgrade/,
  },
  {
    name: 'a step under another name',
    damage: "update schema_migrations set name = 'founding' where version = 1",
    says: /Schema step 1 is called founding in the database and foundation in this version/,
    hint: /Install the release that made this database/,
  },
  {
    name: 'a lost record of a step',
    damage: 'delete from schema_migrations',
    says: /already has what schema step 1 \(foundation\) is to make: table deployment, /,
    hint: /^Restore the backup|another program's.* Otherwise restore the backup/,
  },
];

describeEngines('a damaged database', (engine) => {
  it.each(damaged)('with $name is refused and left as it is', async ({ damage, says, hint }) => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 1);
    await script(fresh, damage);
    const before = await stateOf(fresh);
    const refusal = {
      code: 'refused',
      message: expect.stringMatching(says),
      hint: expect.stringMatching(hint),
    };
    await expect(migrate(fresh)).rejects.toMatchObject(refusal);
    await expect(planSchema(storageChoice(fresh))).rejects.toMatchObject(refusal);
    expect(await stateOf(fresh)).toEqual(before);
  });

  it('with a column in the way is refused and left as it is', async () => {
    await using fresh = await freshStorage(engine);
    await loadFixture(fresh, 1);
    await script(fresh, 'alter table users add column nickname bigint');
    const before = await stateOf(fresh);
    await expect(migrate(fresh, { timeline: [...timeline, addNickname] })).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('9001 (test-9001) is to make: column users.nickname'),
    });
    expect(await stateOf(fresh)).toEqual(before);
  });

  if (engine.name === 'postgres') {
    it('with an index that a killed build left invalid gets a valid one', async () => {
      await using fresh = await freshStorage(engine);
      await migrate(fresh, { timeline: [...timeline, addNickname] });
      await script(fresh, 'create index users_nickname on users (nickname)');
      await script(
        fresh,
        "update pg_index set indisvalid = false where indexrelid = 'users_nickname'::regclass",
      );
      await migrate(fresh, { timeline: [...timeline, addNickname, indexNickname] });
      expect(
        await ask(fresh, "select indisvalid from pg_index where indexrelid = 'users_nickname'::regclass"),
      ).toEqual([{ indisvalid: true }]);
    });
  }
});

it('the fixture of the newest version is current', async () => {
  const { readFile } = await import('node:fs/promises');
  const newest = fixtureVersions.at(-1);
  const file = new URL(`../fixtures/schema/${newest}/database.sql`, import.meta.url);
  expect(await readFile(file, 'utf8')).toBe(
    fixtureText(timeline.filter(({ version }) => version <= Number(newest))),
  );
});

async function stateOf(fresh: FreshStorage): Promise<unknown> {
  await using session = await openSession(fresh);
  return [await digestOf(fresh), await rowsOf(fresh), await session.all('select 1 as alive')];
}

function only(row: Row, columns: readonly string[]): Row {
  return Object.fromEntries(columns.map((column) => [column, row[column]]));
}
