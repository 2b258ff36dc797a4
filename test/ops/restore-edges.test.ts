// A restore where something is out of the ordinary: a newer program's work on either end, a key that nobody has, a target that
// is silent, a staged database that somebody takes away. Nothing is called done that is not.

import * as nodeDisk from 'node:fs/promises';
import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Disk, Files } from '../../src/app/restore/files.ts';
import { writeLast } from '../../src/app/restore/journal.ts';
import { prepareMoment } from '../../src/app/restore/point-in-time.ts';
import { prepareRestore } from '../../src/app/restore/restore.ts';
import { forgetRestores } from '../../src/app/restore/undo.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { makeKeyPair } from '../../src/keys/key-pair.ts';
import { query } from '../setup/cluster.ts';
import { describeEngines, engines, type FreshStorage, freshStorage, inTurn } from '../setup/engines.ts';
import { authserver } from '../setup/server.ts';
import { ASKED, Installation } from './restore-kit.ts';

const PATIENCE = 60_000;
const hasPostgres = engines.some(({ name }) => name === 'postgres');
const FUTURE = { version: 9999, name: 'future', checksum: 'c' };

/** What a newer program's migration would have left. */
function migrateToTheFuture(here: Installation): Promise<void> {
  return run(
    here,
    `create table future_things (id bigint primary key);
    insert into future_things values (1);
    insert into schema_migrations values (9999, 'future', 'c', 1)`,
  );
}

async function run({ storage }: Installation, text: string): Promise<void> {
  if (storage.driver === 'postgres') {
    await query(storage.postgres.dsn, text);
    return;
  }
  const { DatabaseSync } = await import('node:sqlite');
  using db = new DatabaseSync(storage.sqlite.path);
  db.exec(text);
}

async function tablesOf({ storage }: Installation): Promise<string> {
  if (storage.driver === 'postgres')
    return JSON.stringify(
      await query(storage.postgres.dsn, "select tablename from pg_tables where schemaname = 'public'"),
    );
  const { DatabaseSync } = await import('node:sqlite');
  using db = new DatabaseSync(storage.sqlite.path);
  return JSON.stringify(db.prepare('select name from sqlite_schema').all());
}

/** Somebody takes away what is staged, when all of it is recorded and only the keys are still to be looked at. */
class DroppingFiles extends Files {
  readonly #dsn: string;
  dropped = false;

  constructor(dsn: string) {
    super();
    this.#dsn = dsn;
  }

  override async read(file: string): Promise<string | undefined> {
    if (file.endsWith('backup-signing.pem') && !this.dropped) {
      this.dropped = true;
      const found = await query(
        this.#dsn,
        "select nspname as name from pg_namespace where nspname like 'authserver_restoring_%'",
      );
      for (const { name } of found) await query(this.#dsn, `drop schema ${name} cascade`);
    }
    return super.read(file);
  }
}

function placeIn(fresh: FreshStorage): string {
  return fresh.driver === 'sqlite' ? path.join(fresh.dir, 'new', 'a.db') : fresh.dsn;
}

describeEngines('a restore', (engine) => {
  const story = inTurn(engine);
  story(
    'by the version before takes the place of what a newer program has migrated, and keeps its revocations',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await Installation.make(engine);
      for (const name of ['ada', 'eve']) await here.addUser(name);
      const id = await here.backup();
      await here.withStore((store) => store.users.remove({ id: 'user_eve', now: Date.now() }));
      await here.addUser('bob');
      await migrateToTheFuture(here);
      await here.restore({ backup: id });
      expect(await here.users()).toEqual({ ada: 'active' });
      expect(await tablesOf(here)).not.toContain('future_things');
      // What the newer program had is kept, and is for that one: this one says so.
      await expect(here.undo()).rejects.toMatchObject({
        code: 'refused',
        detail: expect.stringContaining('9999'),
      });
    },
  );

  story(
    'says so where the present database does not tell what was taken away',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await Installation.make(engine);
      await here.addUser('ada');
      const id = await here.backup();
      await run(here, 'alter table revocations rename column kind to damaged');
      const receipt = await here.restore({ backup: id });
      expect(receipt.notes.join()).toMatch(
        /The present database cannot be read.*known only as far as the recovery log tells/,
      );
    },
  );

  story(
    'of a newer schema or a newer format is refused with the version that can, and changes nothing',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await Installation.make(engine);
      await here.addUser('ada');
      const ofFuture = await here.backup({ newerSteps: [FUTURE] });
      const id = await here.backup();
      const before = { rows: await here.digests(), files: await here.files() };
      await expect(here.restore({ backup: ofFuture })).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('9999 (future)'),
        hint: expect.stringContaining('Use that version'),
      });
      const bytes = zstdDecompressSync(await readFile(here.archiveOf(id)));
      const at = bytes.indexOf('"format":1');
      bytes.write('"format":2', at);
      const file = path.join(here.stateDir, 'backups', 'newer.tar.zst');
      await writeFile(file, zstdCompressSync(bytes));
      await expect(here.restore({ backup: file, unverified: true })).rejects.toMatchObject({
        code: 'refused',
        message: 'The archive has format 2; this version reads up to 1.',
        hint: expect.stringContaining('Install that version'),
      });
      expect({ rows: await here.digests(), files: await here.files() }).toEqual(before);
    },
  );

  story(
    'tells of a signing key that neither the backup nor this host has the private half of',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await Installation.make(engine);
      const { kid, jwk, privateKey } = await makeKeyPair('ES256');
      const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
      await run(
        here,
        `insert into signing_keys (kid, algorithm, state, public_jwk_json, key_store, created_at, activates_at)
       values ('${kid}', 'ES256', 'active', '${JSON.stringify(jwk)}', 'keyfile', 1, 1)`,
      );
      const own = await readFile(path.join(here.stateDir, 'backup-signing.pem'), 'utf8').catch(() => '');
      const signing = own === '' ? [] : [{ name: 'backup-signing.pem', text: own }];
      const lacking = await here.backup({ keys: signing });
      const told = await here.restore({ backup: lacking });
      expect(told.notes.join()).toMatch(
        new RegExp(`active signing key ${kid} is neither in the backup nor in .*keys recover --from-backup`),
      );
      const whole = await here.backup({ keys: [...signing, { name: `${kid}.pem`, text: pem }] });
      expect((await here.restore({ backup: whole })).notes).toEqual([]);
      // It is on this host by now.
      expect((await here.restore({ backup: lacking })).notes).toEqual([]);
    },
  );

  story(
    'without a signing key is gone on from as it says, with a new one',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await Installation.make(engine);
      const { kid, jwk } = await makeKeyPair('ES256');
      await run(
        here,
        `insert into signing_keys (kid, algorithm, state, public_jwk_json, key_store, created_at, activates_at)
       values ('${kid}', 'ES256', 'active', '${JSON.stringify(jwk)}', 'keyfile', 1, 1)`,
      );
      const { notes } = await here.restore({ backup: await here.backup({ keys: [] }) });
      const [, words = ''] = /where it is lost: authserver (keys recover --new)/.exec(notes.join()) ?? [];
      expect(words).not.toBe('');
      const keys = (...more: string[]) => authserver([...more, '--json'], { env: here.env });
      expect(await keys('keys', 'verify')).toMatchObject({ code: 1 });
      const recovered = await keys(...words.split(' '), '--yes');
      expect(recovered, recovered.stderr).toMatchObject({ code: 0 });
      const { lost, successor } = JSON.parse(recovered.stdout);
      expect(lost).toBe(kid);
      const verified = await keys('keys', 'verify');
      expect(verified, verified.stdout).toMatchObject({ code: 0 });
      // What the lost key has signed goes on verifying.
      const { items } = JSON.parse((await keys('keys', 'list')).stdout);
      const states = new Map(
        items.map(({ kid: one, state }: { kid: string; state: string }) => [one, state]),
      );
      expect([states.get(kid), states.get(successor.kid)]).toEqual(['retiring', 'active']);
    },
  );

  story('of the newest backup says which target was silent', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    const id = await here.backup();
    const silent = path.join(here.stateDir, 'backups', 'no-folder');
    await writeFile(silent, '');
    const targets = [`local=${path.join(here.stateDir, 'backups')}`, `away=${silent}`];
    const config = { ...here.config, backup: { ...here.config.backup, targets } };
    await using prepared = await prepareRestore(config, ASKED, { log: silentLog });
    expect(prepared.plan.backup.id).toBe(id);
    expect(prepared.plan.notes).toEqual([
      expect.stringMatching(/^The backup target away could not be read \(.*\): it may have a newer backup/),
    ]);
  });

  story('elsewhere that fails at its keys can be run again', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(engine);
    await using other = await freshStorage(engine);
    await here.addUser('ada');
    await here.writeKey('k1.pem', 'the key');
    const id = await here.backup();
    await nodeDisk.rm(here.keyFile('k1.pem'));
    const rename: Disk['rename'] = async (from, to) => {
      if (String(to).endsWith('k1.pem'))
        throw Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'rename' });
      await nodeDisk.rename(from, to);
    };
    const asked = { backup: id, into: placeIn(other) };
    const failing = here.restore(asked, { files: new Files({ ...nodeDisk, rename }) });
    await expect(failing).rejects.toMatchObject({ code: 'unavailable' });
    await here.restore(asked);
    expect(await readFile(here.keyFile('k1.pem'), 'utf8')).toBe('the key');
  });

  test('lets go of what an engine has kept that the settings no longer name, or of nothing at all', {
    timeout: PATIENCE,
  }, async () => {
    await using here = await Installation.make(engine);
    await here.addUser('ada');
    const id = await here.backup();
    const { kept_as } = await here.restore({ backup: id });
    const files = new Files();
    const file = path.join(here.stateDir, 'old.db.before-restore-1');
    await writeFile(file, 'a database');
    const last = JSON.parse(await readFile(path.join(here.stateDir, 'restored.json'), 'utf8'));
    const databases = engine.name === 'sqlite' ? [file, kept_as, 'authserver_before_1'] : [file, kept_as];
    await writeLast(files, here.stateDir, { ...last, copies: { ...last.copies, databases } });
    if (engine.name === 'sqlite') {
      await expect(forgetRestores(here.config)).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('authserver_before_1'),
      });
      await stat(file);
      // What was refused is no less possible than before.
      await here.undo();
    } else {
      expect(await forgetRestores(here.config)).toMatchObject({ databases });
      expect(await schemas(here, 'authserver_before_%')).toEqual([]);
      await expect(stat(file)).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });
});

describe.skipIf(!hasPostgres)('a restore on PostgreSQL (needs the postgres engine)', () => {
  const POSTGRES = { name: 'postgres' } as const;

  test.each(['in place', 'elsewhere'])(
    '%s whose staged schema is taken away is not called done',
    {
      timeout: PATIENCE,
    },
    async (where) => {
      await using here = await Installation.make(POSTGRES);
      await using other = await freshStorage(POSTGRES);
      if (here.storage.driver !== 'postgres' || other.driver !== 'postgres')
        throw new Error('not PostgreSQL');
      await here.addUser('ada');
      const backup = await here.backup();
      await here.addUser('bob');
      const dsn = where === 'in place' ? here.storage.postgres.dsn : other.dsn;
      const asked = { ...ASKED, backup, into: where === 'in place' ? undefined : dsn };
      const files = new DroppingFiles(dsn);
      await using prepared = await prepareRestore(here.config, asked, { log: silentLog, files });
      const watch = { progress: () => undefined, signal: new AbortController().signal };
      await expect(prepared.run(watch)).rejects.toMatchObject({
        code: 'failed',
        message: expect.stringContaining('is gone, so nothing was changed'),
      });
      expect(files.dropped).toBe(true);
      expect(Object.keys(await here.users())).toEqual(['ada', 'bob']);
      expect(await files.exists(path.join(here.stateDir, 'restore.json'))).toBe(false);
    },
  );

  test('takes away what a killed one has staged a day before, and nothing younger', {
    timeout: PATIENCE,
  }, async () => {
    await using here = await Installation.make(POSTGRES);
    if (here.storage.driver !== 'postgres') throw new Error('not PostgreSQL');
    const { dsn } = here.storage.postgres;
    const age = (hours: number) => `authserver restores into it since ${Date.now() - hours * 60 * 60 * 1000}`;
    await query(
      dsn,
      `create schema authserver_restoring_old; create table authserver_restoring_old.users (id text);
       comment on schema authserver_restoring_old is '${age(25)}';
       create schema authserver_restoring_young; comment on schema authserver_restoring_young is '${age(23)}';
       create schema authserver_restoring_theirs`,
    );
    await here.addUser('ada');
    await here.restore({ backup: await here.backup() });
    expect(await schemas(here, 'authserver_restoring_%')).toEqual([
      'authserver_restoring_theirs',
      'authserver_restoring_young',
    ]);
  });

  test('to a moment keeps no sessions, and says so when it is asked to', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(POSTGRES);
    await here.addUser('ada');
    const { recoveryKeyFile, passphraseFile, trust } = ASKED;
    const request = {
      ...{ recoveryKeyFile, passphraseFile, trust, acceptDeployment: undefined },
      ...{ to: Date.now() - 1000, sessions: 'keep' as const, removals: 'repeat' as const },
    };
    await using prepared = await prepareMoment(here.config, request, { log: silentLog });
    expect(prepared.obstacles).toContainEqual(
      expect.objectContaining({ code: 'refused', hint: expect.stringContaining('--sessions=keep') }),
    );
  });
});

async function schemas({ storage }: Installation, like: string): Promise<string[]> {
  if (storage.driver !== 'postgres') return [];
  const rows = await query(
    storage.postgres.dsn,
    `select nspname from pg_namespace where nspname like '${like}' order by nspname`,
  );
  return rows.map((row) => String((row as { nspname: string }).nspname));
}
