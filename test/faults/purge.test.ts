// A purge that is killed again and again in the middle of its work: it takes nothing that was to stay, leaves the database
// whole, and in the end everything that was to go is gone.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runSql } from '../purge/fixture.ts';
import { describeEngines, freshStorage } from '../setup/engines.ts';
import { migrateFresh } from '../setup/fresh-store.ts';
import { spawnAuthserver, TestServer } from '../setup/server.ts';
import { times } from './scale.ts';

const KILLS = times(4, 100);
const EXPIRED = 40_000;
const LIVE = 300;

const numbers = {
  sqlite: (count: number) =>
    `(with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count}) select i from n) as n`,
  postgres: (count: number) => `(select i from generate_series(1, ${count}) as g(i)) as n`,
} as const;

const WHOLE = `select count(*) as bad from refresh_tokens
  where not exists (select 1 from token_families where token_families.id = refresh_tokens.family_id)`;

describeEngines('a purge that is killed', (engine) => {
  test(
    `${KILLS} times takes nothing that stays, and the next one goes on`,
    async () => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({ storage });
      await migrateFresh(storage);
      const sql = (text: string) => runSql(storage, text);
      const count = async (table: string) =>
        Number((await sql(`select count(*) as n from ${table}`))[0]?.['n']);
      const later = Date.now() + 86_400_000;
      const from = numbers[engine.name];
      await sql(`insert into users values ('usr', 'name', null, 0, 'active', '{}', 0, 0)`);
      await sql(`insert into clients (id, name, application_type, token_endpoint_auth_method, grant_types_json,
      response_types_json, redirect_uris_json, post_logout_redirect_uris_json, scope, audiences_json, require_pkce,
      skip_consent, contacts_json, source, status, created_at, updated_at)
      values ('cli', '', 'web', 'none', '[]', '[]', '[]', '[]', '', '[]', 1, 0, '[]', 'admin', 'active', 0, 0)`);
      await sql(`insert into token_families select 'fam' || i, 'cli', 'usr', 'ses', '', '[]', null, 0, '', '[]', 0,
      case when i <= ${LIVE} then ${later} else 1 end, null, null from ${from(2 * LIVE)}`);
      // Spent, and over by their own time; half of them in families that live.
      await sql(`insert into refresh_tokens select 'tok' || i, 'fam' || (1 + i % ${2 * LIVE}), 0, i, 1, null, null
      from ${from(20 * LIVE)}`);
      await sql(`insert into assertion_jtis select 'old' || i, i from ${from(EXPIRED)}`);
      await sql(`insert into assertion_jtis select 'live' || i, ${later} from ${from(LIVE)}`);

      // To ask for the oldest costs next to nothing.
      const oldest = async () => (await sql('select min(expires_at) as at from assertion_jtis'))[0]?.['at'];
      let cut = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const before = await oldest();
        const child = spawnAuthserver(['purge', '--timeout=0'], { env: server.env });
        const closed = once(child, 'close');
        while (child.exitCode === null && (await oldest()) === before) await sleep(10);
        await sleep(kill * 25);
        child.kill('SIGKILL');
        await closed;
        if (child.signalCode === 'SIGKILL') cut += 1;
        expect(await sql(WHOLE)).toMatchObject([{ bad: expect.toSatisfy((n) => Number(n) === 0) }]);
        // Its lease would run out within a minute.
        await sql('delete from leases');
      }
      // Otherwise nothing was under way when it died, and nothing has been proven.
      expect(cut).toBeGreaterThan(1);
      const { code, stderr } = await server.cli(['purge', '--timeout=0']);
      expect(code, stderr).toBe(0);
      expect(await count('assertion_jtis')).toBe(LIVE);
      expect(await count('token_families')).toBe(LIVE);
      expect(await count('refresh_tokens')).toBe(10 * LIVE);
      if (engine.name === 'sqlite') {
        expect(await sql('pragma integrity_check')).toEqual([{ integrity_check: 'ok' }]);
        expect(await sql('pragma foreign_key_check')).toEqual([]);
      }
    },
    KILLS * 10_000,
  );
});
