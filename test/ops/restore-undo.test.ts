// The undoing of a restore whose database was lost or damaged since: what was taken away meanwhile is known from the recovery
// log, and where that does not tell either, plan and receipt say so.

import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test, vi } from 'vitest';
import type { RestorePlan } from '../../src/ops/restore/plan.ts';
import type { RestoreReceipt } from '../../src/ops/restore/receipt.ts';
import { Operator } from '../clients/operator.ts';
import { type Account, Person } from '../clients/person.ts';
import { query } from '../setup/cluster.ts';
import { answerOf } from '../setup/command.ts';
import { describeEngines, type Engine, type FreshStorage, freshStorage, inTurn } from '../setup/engines.ts';
import { TestServer } from '../setup/server.ts';
import { Installation } from './restore-kit.ts';

const PATIENCE = 180_000;
const SHIPPING = { timeout: 60_000, interval: 50 };
const ADA: Account = { username: 'ada', password: 'correct horse battery staple' };
const EVE: Account = { username: 'eve', password: 'a password of one who leaves' };
const ZOE: Account = { username: 'zoe', password: 'the password of another' };
const NEITHER = /neither a present database nor a recovery log/;
const LOCKED = /^Without the recovery key .* may be in force again/;

/** A server on which a backup was restored, and two users disabled since. */
class Story implements AsyncDisposable {
  readonly server: TestServer;
  readonly storage: FreshStorage;
  readonly sheet: string;

  private constructor(server: TestServer, storage: FreshStorage) {
    this.server = server;
    this.storage = storage;
    this.sheet = path.join(server.stateDir, 'sheet.txt');
  }

  static async of(engine: Engine, { isPlain = false } = {}): Promise<Story> {
    const storage = await freshStorage(engine);
    const env = {
      AUTHSERVER_RECOVERY_LOG: 'true',
      AUTHSERVER_RECOVERY_INTERVAL: '100ms',
      AUTHSERVER_BACKUP_PLAINTEXT: String(isPlain),
    };
    const server = await TestServer.prepare({ storage, env });
    const story = new Story(server, storage);
    try {
      await story.#live(isPlain);
      return story;
    } catch (error) {
      await story[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #live(isPlain: boolean): Promise<void> {
    const { server, sheet } = this;
    await server.start();
    if (!isPlain) await writeFile(sheet, server.recoverySheet);
    const operator = new Operator(server);
    for (const account of [ADA, EVE, ZOE]) await operator.user(account);
    const { id } = await this.ask('backup', 'create', '--no-verify');
    await server.stop();
    const key = isPlain ? [] : ['--recovery-key', sheet];
    await this.ask('restore', id, '--unverified', '--yes', ...key);
    const former = await this.#chains();
    await server.start();
    // The log begins with what there is to tell; a stop ships what has come since.
    await this.ask('admin', 'user', 'disable', 'zoe');
    await vi.waitFor(async () => expect(await this.#chains()).toBeGreaterThan(former), SHIPPING);
    await this.ask('admin', 'user', 'disable', 'eve');
    await server.stop();
  }

  /** How many the recovery log beside the backups has. */
  async #chains(): Promise<number> {
    const names = await readdir(path.join(this.server.stateDir, 'backups'));
    return new Set(names.filter((name) => name.startsWith('log.')).map((name) => name.split('.')[1])).size;
  }

  async ask(...words: string[]) {
    return answerOf(await this.server.cli([...words, '--json']));
  }

  plan(...words: string[]): Promise<RestorePlan> {
    return this.ask('restore', 'undo', '--plan', ...words);
  }

  undo(...words: string[]): Promise<RestoreReceipt> {
    return this.ask('restore', 'undo', '--yes', ...words);
  }

  /** Nothing of the database is left, but for what the restore has put aside. */
  async lose(): Promise<void> {
    const { storage } = this;
    if (storage.driver === 'postgres')
      await query(storage.dsn, 'drop schema public cascade; create schema public');
    else for (const suffix of ['', '-wal', '-shm']) await rm(storage.path + suffix, { force: true });
  }

  async damage(): Promise<void> {
    const { storage } = this;
    if (storage.driver === 'postgres')
      await query(storage.dsn, 'alter table revocations rename column kind to damaged');
    else await writeFile(storage.path, 'no database at all');
  }

  /** Whether they sign in, once the server serves again. */
  async signIns(): Promise<readonly boolean[]> {
    const { server } = this;
    await server.start();
    const tried = await Promise.allSettled(
      [ADA, EVE, ZOE].map((account) => new Person(server.issuer, account).signIn(server.issuer)),
    );
    return tried.map(({ status }) => status === 'fulfilled');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.dispose();
    await this.storage.dispose();
  }
}

describeEngines('restore undo', (engine) => {
  test('after the database was lost keeps away who was shut out since the restore, as the recovery log knows', {
    timeout: PATIENCE,
  }, async () => {
    await using undone = await Story.of(engine);
    await undone.lose();
    // What could not be opened is not passed over.
    expect((await undone.plan()).notes).toEqual([expect.stringMatching(LOCKED)]);
    const key = ['--recovery-key', undone.sheet];
    expect(await undone.plan(...key)).toMatchObject({ kept_as: null, notes: [] });
    const receipt = await undone.undo(...key);
    expect(receipt).toMatchObject({ verb: 'undo', kept_as: null, notes: [] });
    expect(receipt.aftercare.replayed).toMatchObject({ user_disabled: 2 });
    expect(await undone.signIns()).toEqual([true, false, false]);
  });

  const story = inTurn(engine);
  story(
    'of a damaged database does so too, and needs no key for a log that is not encrypted',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using undone = await Story.of(engine, { isPlain: true });
      await undone.damage();
      const told = [expect.stringMatching(/cannot be read .* known only as far as the recovery log tells/)];
      expect((await undone.plan()).notes).toEqual(told);
      const receipt = await undone.undo();
      expect(receipt.notes).toEqual(told);
      expect(receipt.aftercare.replayed).toMatchObject({ user_disabled: 2 });
      expect(await undone.signIns()).toEqual([true, false, false]);
    },
  );

  story('says on the receipt, too, that a log could not be opened', { timeout: PATIENCE }, async () => {
    await using undone = await Story.of(engine);
    await undone.lose();
    // Nor is there a spool, which is open to whoever has the disk.
    await rm(path.join(undone.server.stateDir, 'log'), { recursive: true, force: true });
    const { notes, aftercare } = await undone.undo();
    expect(notes).toEqual([
      expect.stringMatching(LOCKED),
      expect.stringMatching(/^The recovery log has gaps .* may be in force again/),
    ]);
    expect(aftercare.replayed).toEqual({});
  });

  story(
    'says that nobody knows what was taken away, where there is neither database nor log',
    {
      timeout: PATIENCE,
    },
    async () => {
      await using here = await Installation.make(engine);
      for (const name of ['ada', 'eve']) await here.addUser(name);
      await here.restore({ backup: await here.backup() });
      const { storage } = here;
      if (storage.driver === 'postgres')
        await query(storage.postgres.dsn, 'drop schema public cascade; create schema public');
      else for (const suffix of ['', '-wal', '-shm']) await rm(storage.sqlite.path + suffix, { force: true });
      const { notes } = await here.undo();
      expect(notes).toEqual([expect.stringMatching(NEITHER)]);
      expect(Object.keys(await here.users())).toEqual(['ada', 'eve']);
    },
  );
});
