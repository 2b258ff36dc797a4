// HelloJohn's guide "Backup & Recovery": its script, its line for cron and its procedures, run as they are written against our server.
// What they prove and what they miss, beside our own commands in the same situation (docs/from-hellojohn.md).

import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Host } from '../docs/host.ts';
import type { Outcome } from '../setup/server.ts';
import { DumpCluster, withoutDumps } from './dump-cluster.ts';

const PATIENCE = 480_000;

const MANUAL_DUMP = `
pg_dump \\
  --dbname="postgresql://user:password@host:5432/hellojohn" \\
  --format=custom \\
  --compress=9 \\
  --file="hellojohn_$(date +%Y%m%d_%H%M%S).dump"
`;

const CRON_FILE = `# /etc/cron.d/hellojohn-backup
0 2 * * * postgres pg_dump \\
  --dbname="$DATABASE_URL" \\
  --format=custom \\
  --compress=9 \\
  --file="/backups/hellojohn_$(date +\\%Y\\%m\\%d).dump" \\
  && find /backups -name "hellojohn_*.dump" -mtime +30 -delete
`;

const VERIFY_SCRIPT = `#!/bin/bash
# verify-backup.sh — run weekly

BACKUP_FILE="hellojohn_$(date +%Y%m%d).dump"
TEST_DB="hellojohn_verify_$(date +%s)"

echo "Creating test database: $TEST_DB"
createdb "$TEST_DB"

echo "Restoring backup..."
pg_restore \\
  --dbname="postgresql://user:password@host:5432/$TEST_DB" \\
  "$BACKUP_FILE"

echo "Verifying row counts..."
psql "postgresql://user:password@host:5432/$TEST_DB" \\
  -c "SELECT COUNT(*) AS users FROM hj_user;"
psql "postgresql://user:password@host:5432/$TEST_DB" \\
  -c "SELECT COUNT(*) AS sessions FROM hj_session;"

echo "Dropping test database..."
dropdb "$TEST_DB"

echo "Backup verification complete ✅"
`;
const SUCCESS = 'Backup verification complete ✅';

const COMPOSE_DUMP = `
docker compose exec postgres pg_dump \\
  -U hellojohn \\
  -d hellojohn \\
  --format=custom \\
  --compress=9 \\
  > ./backups/hellojohn_$(date +%Y%m%d).dump
`;
const COMPOSE_RESTORE = `
docker compose exec -T postgres pg_restore \\
  -U hellojohn \\
  -d hellojohn \\
  --clean \\
  < ./backups/hellojohn_$(date +%Y%m%d).dump
`;

/** A name of a file of today in place of the guide's own, which has the time in it. */
const TODAY = 'mv hellojohn_*_*.dump "hellojohn_$(date +%Y%m%d).dump"';
const OURS_AWAY =
  'export AUTHSERVER_BACKUP_TARGETS=away=/var/backups/authserver AUTHSERVER_RECOVERY_LOG=true';
const VERIFY_OURS = 'authserver backup verify --latest --recovery-key recovery-sheet.txt';

/** The lines of a file in /etc/cron.d that cron cannot read: it knows no continued lines, and then leaves the whole file out. */
function linesThatCronRefuses(file: string): string[] {
  const isVariable = /^\s*\w+\s*=/;
  const isJob = /^\s*(@\w+|([\d*/,-]+\s+){5})\s*[a-z_][\w-]*\s+\S/i;
  return file
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line) && !isVariable.test(line) && !isJob.test(line));
}

/** What cron hands to the shell of a job that stands on one line. */
function commandOfJob(file: string): string {
  const joined =
    file
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .find((line) => /^\d/.test(line)) ?? '';
  return joined.replace(/^(\S+\s+){5}postgres\s+/, '').replaceAll('\\%', '%');
}

describe.skipIf(withoutDumps !== '')(`HelloJohn's guide${withoutDumps}`, () => {
  let cluster: DumpCluster;
  beforeAll(async () => {
    cluster = await DumpCluster.start('hellojohn');
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  /** A host on the guide's database, with a second user; what the guide calls host and password is this cluster. */
  async function makeHost(settings: Readonly<Record<string, string>> = {}): Promise<Host> {
    const host = await Host.on(await cluster.empty(), { ...cluster.env, ...settings });
    done(await host.run('echo "correct horse battery" | authserver admin user create eve --password-stdin'));
    return host;
  }

  const here = (text: string) =>
    text.replaceAll('user:password@host:5432', `hellojohn@127.0.0.1:${cluster.port}`);

  test('the script that verifies says so whatever has happened; backup verify does not', {
    timeout: PATIENCE,
  }, async () => {
    await using host = await makeHost();
    const verify = () => host.run(here(VERIFY_SCRIPT));
    const fails = { code: 0, stdout: expect.stringContaining(SUCCESS) };

    // No dump at all, and no backup at all.
    const nothing = await verify();
    expect(nothing).toMatchObject({ ...fails, stderr: expect.stringMatching(/could not open input file/) });
    expect(await host.run(VERIFY_OURS)).toMatchObject({ code: 6, stdout: '' });

    done(await host.run(`${here(MANUAL_DUMP)}\n${TODAY}`));
    done(await host.run('authserver backup create'));
    const good = await verify();
    // It looks into tables that are not there, and says so in passing.
    expect(good).toMatchObject({
      ...fails,
      stderr: expect.stringMatching(/relation "hj_user" does not exist/),
    });
    expect(await host.run(VERIFY_OURS)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('restored and used'),
    });

    // Half of it is gone.
    const cut = 'for file in FILES; do truncate --size=$(( $(stat --format=%s $file) / 2 )) $file; done';
    done(await host.run(cut.replace('FILES', 'hellojohn_*.dump')));
    done(await host.run(cut.replace('FILES', '/var/lib/authserver/backups/*.age')));
    expect(await verify()).toMatchObject({ ...fails, stderr: expect.stringMatching(/pg_restore: error/) });
    expect(await host.run(VERIFY_OURS)).toMatchObject({ code: 1, stdout: expect.stringContaining('FAILED') });

    // What can be known with `set -e` still is nothing about a key: no dump has one.
    const list = await host.run(
      'pg_restore --list hellojohn_*.dump 2>&1 || true; ls /var/lib/authserver/keys',
    );
    const [kid = ''] = /^\S+\.pem$/m.exec(done(list)) ?? [];
    expect(kid).not.toBe('');
    const opened =
      'age --decrypt -i recovery-sheet.txt "$(ls /var/lib/authserver/backups/*.age | tail -n 1)"';
    done(await host.run('authserver backup create'));
    expect(done(await host.run(`${opened} | zstd --decompress | tar --list`))).toContain(`keys/${kid}`);
  });

  test('cron refuses the file; joined into one line it dumps what there is, and forgets what was good', {
    timeout: PATIENCE,
  }, async () => {
    expect(linesThatCronRefuses(CRON_FILE)).toHaveLength(5);
    expect(linesThatCronRefuses('0 2 * * * postgres pg_dump --file=x\nMAILTO=root\n')).toEqual([]);

    await using host = await makeHost();
    // cron hands no DATABASE_URL on.
    const job = commandOfJob(CRON_FILE);
    const asCron = `env --ignore-environment PATH="$PATH" HOME="$HOME" sh -c '${job}'`;
    expect((await host.run(asCron)).code).not.toBe(0);
    const joined = `export DATABASE_URL=${cluster.dsn()}\n${job}`;
    done(await host.run(joined));
    done(await host.run('authserver backup create'));

    // A month later: nobody has noticed that the database has no tables any more.
    done(
      await host.run(
        'systemctl stop authserver; for file in /backups/*.dump; do mv $file /backups/hellojohn_20240120.dump; done',
      ),
    );
    done(await host.run('touch --date "31 days ago" /backups/hellojohn_20240120.dump'));
    await cluster.empty();
    done(await host.run(joined));
    const left = done(await host.run('ls /backups')).trim();
    expect(left).not.toContain('20240120');
    expect(done(await host.run(`pg_restore --list /backups/${left} | grep -c TABLE || true`)).trim()).toBe(
      '0',
    );
    // Ours makes none of it, and keeps what is good.
    expect((await host.run('authserver backup create')).code).not.toBe(0);
    expect(done(await host.run('ls /var/lib/authserver/backups/*.age | wc -l')).trim()).toBe('1');
  });

  test('the disaster procedure brings back who was shut out, and no key; a restore does neither', {
    timeout: PATIENCE,
  }, async () => {
    await using host = await makeHost({ AUTHSERVER_RECOVERY_LOG: 'true' });
    const away = `${OURS_AWAY}\nsystemctl restart authserver\nauthserver backup create`;
    done(
      await host.run(
        `${away}\npg_dump --dbname="${cluster.dsn()}" --format=custom --file=hellojohn_latest.dump`,
      ),
    );
    done(await host.run(`${OURS_AWAY}\nauthserver admin user disable eve`));
    const status = async () =>
      /eve\s+\S+\s+\S+\s+(\w+)/.exec(done(await host.run('authserver admin user list')))?.[1];
    expect(await status()).toBe('disabled');

    // The database host fails. The log of what was taken away has reached its target by the time that the server has stopped.
    done(await host.run('systemctl stop authserver'));
    await cluster.empty();
    const alias = 'unset AUTHSERVER_STORAGE_DRIVER AUTHSERVER_STORAGE_POSTGRES_DSN';
    const procedure = `
      NEW_DATABASE_URL=${cluster.dsn()}
      pg_restore --dbname="$NEW_DATABASE_URL" hellojohn_latest.dump
      ${alias}; export HELLOJOHN_DATABASE_URL="$NEW_DATABASE_URL"
      systemctl restart authserver
      curl --fail --silent http://127.0.0.1$AUTHSERVER_SERVER_ADDRESS/health`;
    expect(done(await host.run(procedure))).toContain('"status":"ok"');
    expect(await status()).toBe('active');

    // The same on another machine: the dump has no key, and none is made in its place.
    done(await host.run('systemctl stop authserver; rm -r /var/lib/authserver/keys'));
    const elsewhere = await host.run('systemctl start authserver');
    expect(elsewhere.code).not.toBe(0);
    expect(await host.journal()).toMatch(/The private half of the active signing key \S+ is missing/);

    done(await host.run('rm -r /var/lib/authserver; mkdir -m 0700 /var/lib/authserver'));
    await cluster.empty();
    const restore = 'authserver restore --latest --recovery-key recovery-sheet.txt --yes';
    done(await host.run(`${OURS_AWAY}\n${restore}\nsystemctl start authserver\nauthserver keys verify`));
    expect(await status()).toBe('disabled');
  });

  test('the restore for Compose takes the tables from under a server that serves; ours refuses', {
    timeout: PATIENCE,
  }, async () => {
    await using host = await makeHost();
    done(await host.run(`mkdir backups\n${COMPOSE_DUMP}\nauthserver backup create`));
    done(await host.run('authserver admin user disable eve\nauthserver admin user delete ada --yes'));
    done(await host.run(COMPOSE_RESTORE));
    const list = done(await host.run('authserver admin user list'));
    expect(list).toMatch(/ada/);
    expect(list).toMatch(/eve\s+\S+\s+\S+\s+active/);
    expect(done(await host.run('systemctl is-active authserver && echo still'))).toContain('still');

    const refused = await host.run('authserver restore --latest --recovery-key recovery-sheet.txt --yes');
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringContaining('A server runs on') });
  });

  test('the procedure for a lost signing key: a new one does not slip in, and old tokens go on verifying', {
    timeout: PATIENCE,
  }, async () => {
    const pem = () =>
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await using host = await makeHost({
      HELLOJOHN_JWT_SIGNING_KEY: pem(),
      AUTHSERVER_SIGNING_ALGORITHM: 'EdDSA',
    });
    const kidsOf = async () => {
      const published =
        'curl --fail --silent http://127.0.0.1$AUTHSERVER_SERVER_ADDRESS/.well-known/jwks.json';
      const { keys } = JSON.parse(done(await host.run(published))) as { keys: { kid: string }[] };
      return keys.map(({ kid }) => kid);
    };
    const [lost = ''] = await kidsOf();
    const restart = (key: string) =>
      host.run(`export HELLOJOHN_JWT_SIGNING_KEY='${key}'\nsystemctl restart authserver`);

    const another = pem();
    expect((await restart(another)).code).not.toBe(0);
    expect(await host.journal()).toContain(lost);

    const recover = 'authserver keys recover --new --yes';
    done(await host.run(`export HELLOJOHN_JWT_SIGNING_KEY='${another}'\n${recover}`));
    done(await restart(another));
    const kids = await kidsOf();
    expect(kids).toHaveLength(2);
    expect(kids).toContain(lost);
  });
});

function done({ code, stdout, stderr }: Outcome): string {
  expect(code, stderr).toBe(0);
  return stdout;
}
