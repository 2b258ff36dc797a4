// AuthPlane's guide "Backup, upgrade, purge": its backups, cold and live, run as they are written against our server. What they keep
// and what they miss, beside our own commands in the same situation (docs/from-authplane.md). Its other chores are in the runbooks.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { has, unless } from '../deploy/folder.ts';
import { Host } from '../docs/host.ts';
import { engines } from '../setup/engines.ts';
import type { Outcome } from '../setup/server.ts';
import { DumpCluster, withoutDumps } from './dump-cluster.ts';

const PATIENCE = 480_000;

const COLD = `
systemctl stop authserver
cp /var/lib/authserver/authserver.db /backup/authserver-$(date +%Y%m%d).db
cp -r /var/lib/authserver/keys /backup/keys-$(date +%Y%m%d)
systemctl start authserver
`;

const COLD_IN_DOCKER = `
docker compose stop authserver
docker run --rm -v authserver-data:/data -v $(pwd)/backup:/backup \\
alpine tar czf /backup/authserver-$(date +%Y%m%d).tar.gz -C /data .
docker compose start authserver
`;

const LIVE = `
sqlite3 /var/lib/authserver/authserver.db \\
".backup /backup/authserver-$(date +%Y%m%d).db"
`;

const DUMP_IN_COMPOSE = 'docker compose exec postgres pg_dump -U authserver authserver > backup.sql';
const DUMP = 'pg_dump -h db.internal -U authserver authserver > backup.sql';

/** The guide says to put it back, and not how: the files, where they were. */
const PUT_BACK = `
systemctl stop authserver
rm -rf /var/lib/authserver/authserver.db* /var/lib/authserver/keys
cp /backup/authserver-*.db /var/lib/authserver/authserver.db
cp -r /backup/keys-* /var/lib/authserver/keys
systemctl start authserver
`;
const RESTORE = `
systemctl stop authserver
authserver restore --latest --recovery-key recovery-sheet.txt --yes
systemctl start authserver
`;

const ADD = (name: string) =>
  `echo "correct horse battery" | authserver admin user create ${name} --password-stdin`;

function done({ code, stdout, stderr }: Outcome): string {
  expect(code, stderr).toBe(0);
  return stdout;
}

async function users(host: Host): Promise<Record<string, string>> {
  const { items } = JSON.parse(done(await host.run('authserver admin user list --json'))) as {
    items: { username: string; status: string }[];
  };
  return Object.fromEntries(items.map(({ username, status }) => [username, status]));
}

const onSqlite = engines.some(({ name }) => name === 'sqlite');
describe.skipIf(!onSqlite)(
  `AuthPlane's guide on SQLite${onSqlite ? '' : ' (skipped: another engine)'}`,
  () => {
    test('cold: it keeps everything, and brings back who was shut out since; ours does not', {
      timeout: PATIENCE,
    }, async () => {
      await using host = await Host.make({ name: 'sqlite' });
      done(await host.run(ADD('eve')));
      done(await host.run(COLD));
      done(await host.run('authserver backup create'));
      done(await host.run('authserver admin user disable eve'));

      done(await host.run(`cp -r /var/lib/authserver /backup/present\n${PUT_BACK}\nauthserver keys verify`));
      expect(await users(host)).toEqual({ ada: 'active', eve: 'active' });

      const present =
        'systemctl stop authserver; rm -r /var/lib/authserver; cp -r /backup/present /var/lib/authserver';
      done(await host.run(`${present}\nsystemctl start authserver\n${RESTORE}\nauthserver keys verify`));
      expect(await users(host)).toEqual({ ada: 'active', eve: 'disabled' });
    });

    test('cold, after a server that was killed: what is in the write-ahead log is not copied; ours has it', {
      timeout: PATIENCE,
    }, async () => {
      await using host = await Host.make({ name: 'sqlite' });
      done(
        await host.run(
          `${ADD('bob')}\nkill -KILL "$(cat authserver.pid)"\nwhile kill -0 "$(cat authserver.pid)" 2>/dev/null; do :; done`,
        ),
      );
      // The last line starts the server again, on the files as they are: nothing is lost there.
      done(await host.run(COLD));
      expect(await users(host)).toEqual({ ada: 'active', bob: 'active' });
      done(await host.run('authserver backup create'));

      const copy = await host.run(PUT_BACK);
      expect(copy.code === 0 ? await users(host) : {}).not.toHaveProperty('bob');
      done(await host.run('rm -rf /var/lib/authserver/authserver.db* /var/lib/authserver/keys'));
      done(await host.run(RESTORE));
      expect(await users(host)).toEqual({ ada: 'active', bob: 'active' });
    });

    test('cold, in Docker: all of it, readable for everybody who has the file; ours is not', {
      timeout: PATIENCE,
    }, async () => {
      await using host = await Host.make({ name: 'sqlite' });
      done(await host.run(COLD_IN_DOCKER));
      const names = done(await host.run('tar tzf /backup/authserver-*.tar.gz'));
      expect(names).toMatch(/^\.\/authserver\.db$/m);
      const [key = ''] = /^\.\/keys\/.+\.pem$/m.exec(names) ?? [];
      const shown = await host.run(`tar xzf /backup/authserver-*.tar.gz --to-stdout "${key}"`);
      expect(done(shown)).toContain('BEGIN PRIVATE KEY');
      expect(done(await host.run('systemctl is-active authserver && echo up'))).toContain('up');

      done(await host.run('authserver backup create'));
      const holds = (what: string) =>
        host.run(`grep --text --quiet --extended-regexp '${what}' /var/lib/authserver/backups/*.age`);
      expect((await holds('age-encryption.org')).code).toBe(0);
      expect((await holds('PRIVATE KEY|SQLite format')).code).toBe(1);
    });

    test.skipIf(!has('sqlite3'))(
      `live: rows of one moment and keys of another${unless('sqlite3')}; ours are of one`,
      { timeout: PATIENCE },
      async () => {
        await using host = await Host.make({ name: 'sqlite' });
        const keys = 'cp -r /var/lib/authserver/keys /backup/keys-$(date +%Y%m%d)';
        const rotate = `
        KID=$(authserver keys list | awk '$3 == "active" { print $1 }')
        authserver keys rotate --compromised "$KID" --yes`;
        done(await host.run(`${keys}\n${rotate}\n${LIVE}\nauthserver backup create`));
        const copied = await host.run(PUT_BACK);
        expect(copied.code).not.toBe(0);
        expect(await host.journal()).toMatch(/The private half of the active signing key \S+ is missing/);

        done(await host.run(`${RESTORE}\nauthserver keys verify`));
        expect(await users(host)).toEqual({ ada: 'active' });
      },
    );
  },
);

describe.skipIf(withoutDumps !== '')(`AuthPlane's guide on PostgreSQL${withoutDumps}`, () => {
  let cluster: DumpCluster;
  beforeAll(async () => {
    cluster = await DumpCluster.start('authserver');
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test('a dump that fails has emptied the one of yesterday; ours leaves it', {
    timeout: PATIENCE,
  }, async () => {
    await using host = await Host.on(await cluster.empty(), cluster.env);
    const here = (text: string) => text.replace('db.internal', '127.0.0.1');
    const size = async () => Number(done(await host.run('stat --format=%s backup.sql')));
    done(await host.run(DUMP_IN_COMPOSE));
    expect(await size()).toBeGreaterThan(1000);
    done(await host.run(here(DUMP)));
    expect(await size()).toBeGreaterThan(1000);
    // No key is in it, and the passwords of everybody are, for whoever reads it.
    const sql = done(await host.run('cat backup.sql'));
    expect(sql).not.toContain('PRIVATE KEY');
    expect(sql).toContain('$argon2id$');

    done(await host.run('authserver backup create'));
    const backups = async () => done(await host.run('sha256sum /var/lib/authserver/backups/0*'));
    const before = await backups();
    done(await host.run('systemctl stop authserver'));
    const away =
      'export PGPORT=1 AUTHSERVER_STORAGE_POSTGRES_DSN=postgres://authserver@127.0.0.1:1/authserver';
    expect((await host.run(`${away}\n${here(DUMP)}`)).code).not.toBe(0);
    expect(await size()).toBe(0);
    expect((await host.run(`${away}\nauthserver backup create`)).code).toBe(5);
    expect(await backups()).toBe(before);
  });
});
