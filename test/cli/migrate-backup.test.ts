// The backup that `authserver migrate` makes before it changes a schema with data: it is proven, it leads back, and without it
// nothing is changed.

import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { changesOf, tablesMadeBy } from '../../src/store/migrations/change.ts';
import { timeline } from '../../src/store/migrations/timeline.ts';
import { Operator } from '../clients/operator.ts';
import { Person } from '../clients/person.ts';
import { describeEngines, type Engine, type FreshStorage, freshStorage, inTurn } from '../setup/engines.ts';
import { type Outcome, TestServer } from '../setup/server.ts';
import { ask, digestOf, script } from '../upgrade/database.ts';

const PATIENCE = { timeout: 120_000 };
const ADA = { username: 'ada', password: 'correct horse battery staple' };
const BOB = { username: 'bob', password: 'another good password' };
/** Every version that this program can come from. */
const OLDER = timeline.slice(0, -1).map(({ version }) => version);

interface Report {
  readonly backup: {
    readonly id: string;
    readonly targets: readonly string[];
    readonly proof: string;
    readonly copy: { readonly file: string } | null;
  };
  readonly undo: readonly {
    readonly say: string;
    readonly command: string | null;
    readonly instead?: { readonly command: string };
  }[];
  readonly steps: readonly unknown[];
}

function reportOf({ code, stdout, stderr }: Outcome): Report {
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Report;
}

/** A server that Ada has used, on a database that is as a program of this version would have left it. */
async function usedServer(
  engine: Engine,
  version: number,
  env: Readonly<Record<string, string>> = {},
): Promise<AsyncDisposable & { readonly storage: FreshStorage; readonly server: TestServer; sheet: string }> {
  const storage = await freshStorage(engine);
  const server = await TestServer.prepare({ storage, env });
  await server.start();
  await new Operator(server).user(ADA);
  const sheet = path.join(server.stateDir, 'sheet.txt');
  await writeFile(sheet, server.recoverySheet);
  await server.stop();
  const since = timeline.filter((step) => step.version > version);
  const tables = since.flatMap((step) => tablesMadeBy(changesOf(step))).reverse();
  await script(storage, tables.map((table) => `drop table ${table};`).join('\n'));
  await script(storage, `delete from schema_migrations where version > ${version}`);
  return {
    storage,
    server,
    sheet,
    async [Symbol.asyncDispose]() {
      await server.dispose();
      await storage.dispose();
    },
  };
}

/** What may not change when an upgrade is refused; what backups are remembered by may. */
async function contentOf(storage: FreshStorage): Promise<unknown> {
  const users = await ask(storage, 'select * from users order by id');
  const steps = await ask(storage, 'select version from schema_migrations order by version');
  return { users, steps, schema: await digestOf(storage) };
}

async function backupsOf({ stateDir }: TestServer): Promise<readonly string[]> {
  const names = await readdir(path.join(stateDir, 'backups')).catch(() => []);
  return names.filter((name) => !name.startsWith('log.'));
}

async function leftOvers({ stateDir }: TestServer): Promise<readonly string[]> {
  const folders = await Promise.all(
    ['spool', 'spool/upgrade', 'scratch'].map((name) => readdir(path.join(stateDir, name)).catch(() => [])),
  );
  return folders.flat().filter((name) => name !== 'upgrade');
}

async function signsIn({ issuer }: TestServer, account: typeof ADA): Promise<boolean> {
  return new Person(issuer, account).signIn(issuer).then(
    () => true,
    () => false,
  );
}

describeEngines('the backup before an upgrade', (engine) => {
  const story = inTurn(engine);
  it.each(OLDER)('of a database of version %i is proven, published and tagged', PATIENCE, async (version) => {
    await using used = await usedServer(engine, version);
    const { server } = used;
    const report = reportOf(await server.cli(['migrate', '--json']));
    expect(report.steps).toHaveLength(timeline.length - version);
    const { id, targets, proof, copy } = report.backup;
    expect(targets).toEqual(['local']);
    expect(proof).toMatch(/^\d+ rows, restored in \d+ ms, brought to this schema, and served to a client$/);
    expect(copy !== null).toBe(engine.name === 'sqlite');
    const { items } = JSON.parse((await server.cli(['backup', 'list', '--json'])).stdout);
    expect(items).toMatchObject([
      { id, state: 'verified', schema_version: version, tags: [`before-migrate-${version + 1}`] },
    ]);
    expect(await leftOvers(server)).toEqual([]);
  });

  story(
    'leads back by the command that is printed, and what was revoked since stays so',
    PATIENCE,
    async () => {
      await using used = await usedServer(engine, 2);
      const { server, sheet } = used;
      const { backup, undo } = reportOf(await server.cli(['migrate', '--json']));
      await server.start();
      const operator = new Operator(server);
      await operator.user(BOB);
      expect(await server.cli(['admin', 'user', 'disable', 'ada'])).toMatchObject({ code: 0 });
      await server.stop();

      const command = undo.find((step) => step.command?.startsWith('authserver restore'))?.command ?? '';
      expect(command).toBe(`authserver restore ${backup.id} --recovery-key FILE`);
      const words = command.split(' ').slice(1);
      const undone = await server.cli([...words.map((word) => (word === 'FILE' ? sheet : word)), '--yes']);
      expect(undone.code, undone.stderr).toBe(0);
      await server.start();
      expect(await signsIn(server, BOB)).toBe(false);
      expect(await signsIn(server, ADA)).toBe(false);
      expect(await server.cli(['admin', 'user', 'enable', 'ada'])).toMatchObject({ code: 0 });
      expect(await signsIn(server, ADA)).toBe(true);
    },
  );

  story('that does not pass changes nothing, and nothing of it stays', PATIENCE, async () => {
    await using used = await usedServer(engine, 1);
    const { server, storage } = used;
    await script(storage, "update audit_events set actor = 'nobody' where sequence = 1");
    const before = await contentOf(storage);
    for (const words of [['migrate'], ['serve']]) {
      if (words[0] === 'serve' && engine.name === 'postgres') continue;
      const { code, stdout, stderr } = await server.cli(words);
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
      expect(stderr).toMatch(/did not pass when it was restored[\s\S]*nothing was changed: .*audit/);
      expect(stderr).toMatch(/Next: .*Go on with the version that ran before[\s\S]*--no-backup/);
    }
    expect(await contentOf(storage)).toEqual(before);
    expect(await backupsOf(server)).toEqual([]);
    expect(await leftOvers(server)).toEqual([]);
    if (storage.driver === 'sqlite') expect(existsSync(`${storage.path}.before-2`)).toBe(false);
    expect(await server.cli(['migrate', '--no-backup'])).toMatchObject({ code: 0 });
  });

  story('is refused where a key is missing, and where no target takes it', PATIENCE, async () => {
    await using used = await usedServer(engine, 1);
    const { server, storage } = used;
    const before = await contentOf(storage);
    const keys = path.join(server.stateDir, 'keys');
    const [name = ''] = (await readdir(keys)).filter((file) => file.endsWith('.pem'));
    const pem = await readFile(path.join(keys, name));
    await rm(path.join(keys, name));
    const lacking = await server.cli(['migrate']);
    expect(lacking.code).toBe(3);
    expect(lacking.stderr).toMatch(/nothing was changed: .*the private half of the active signing key/);
    await writeFile(path.join(keys, name), pem, { mode: 0o600 });

    await rm(path.join(server.stateDir, 'backups'), { recursive: true, force: true });
    await writeFile(path.join(server.stateDir, 'backups'), 'no folder');
    const homeless = await server.cli(['migrate']);
    expect(homeless.code).toBe(3);
    expect(homeless.stderr).toMatch(/nothing was changed[\s\S]*Next: [\s\S]*--no-backup/);
    expect(await contentOf(storage)).toEqual(before);
    expect(await leftOvers(server)).toEqual([]);
    await rm(path.join(server.stateDir, 'backups'));
    expect(await server.cli(['migrate'])).toMatchObject({ code: 0 });
  });

  story('counts when one of two targets has it, and the other is named', PATIENCE, async () => {
    await using used = await usedServer(engine, 2);
    const { server } = used;
    const broken = path.join(server.stateDir, 'broken');
    await writeFile(broken, 'no folder');
    const { stateDir } = server;
    const two = await TestServer.prepare({
      storage: used.storage,
      env: {
        ...server.env,
        AUTHSERVER_BACKUP_TARGETS: `local=${path.join(stateDir, 'backups')},away=${broken}`,
      },
    });
    const outcome = await two.process(['migrate', '--json']);
    expect(reportOf(outcome).backup.targets).toEqual(['local']);
    expect(outcome.stderr).toContain('away');
  });

  story('is what serve makes where it may migrate', PATIENCE, async () => {
    await using used = await usedServer(engine, 2, { AUTHSERVER_STORAGE_AUTO_MIGRATE: 'true' });
    const { server } = used;
    await server.start();
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
    const [record = ''] = (await backupsOf(server)).filter((name) => name.endsWith('manifest.ndjson'));
    expect(server.log).toContain(`authserver restore ${record.split('.')[0]} --recovery-key FILE`);
  });
});
