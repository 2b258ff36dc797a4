// What a restore refuses, each time with the next step, and with nothing changed.

import * as nodeDisk from 'node:fs/promises';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeRecoverySheet } from '../../src/app/backup/recovery-sheet.ts';
import { openSigningKey, readSigningKey } from '../../src/app/backup/signing-key.ts';
import { type Disk, Files } from '../../src/app/restore/files.ts';
import type { WorldParts } from '../../src/app/restore/prepared.ts';
import { prepareRestore, type RestoreRequest } from '../../src/app/restore/restore.ts';
import { tryLock } from '../../src/app/state-dir.ts';
import { makeIdentity, recipientOf } from '../../src/archive/age-keys.ts';
import { makeSigner } from '../../src/archive/archive.test-kit.ts';
import { endorse } from '../../src/archive/endorsement.ts';
import { Folder } from '../../src/archive/targets/folder.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { Failure } from '../../src/kernel/errors.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { RecoveryKeyRecords } from '../../src/ops/backup/recovery-key.ts';
import { describeEngines, type Engine, inTurn } from '../setup/engines.ts';
import { ASKED, Installation } from './restore-kit.ts';

const PATIENCE = 60_000;

/** An installation with a backup, and a user that came after it. */
async function withBackup(engine: Engine, options: Parameters<Installation['backup']>[0] = {}) {
  const here = await Installation.make(engine);
  await here.addUser('ada');
  const id = await here.backup(options);
  await here.addUser('bob');
  return { here, id };
}

/** Which backup a restore would take. */
async function planned({ config }: Installation, asked: Partial<RestoreRequest>): Promise<string> {
  await using prepared = await prepareRestore(config, { ...ASKED, ...asked }, { log: silentLog });
  return prepared.plan.backup.id;
}

/** The failure of a restore, after which everything is as it was before. */
async function refusal(
  here: Installation,
  asked: Partial<RestoreRequest>,
  parts: Partial<WorldParts> = {},
): Promise<Failure> {
  const before = { rows: await here.digests(), files: await here.files() };
  const failure = await here.restore(asked, parts).then(
    () => expect.fail('nothing was refused'),
    (error: Failure) => error,
  );
  expect({ rows: await here.digests(), files: await here.files() }).toEqual(before);
  expect(failure.hint, failure.message).toMatch(/\w{5}/);
  return failure;
}

describeEngines('a restore refuses', (engine) => {
  const story = inTurn(engine);
  story('while a server runs', { timeout: PATIENCE }, async () => {
    const { here, id } = await withBackup(engine);
    await using _here = here;
    {
      using lock = tryLock(here.config);
      expect(lock).toBeDefined();
      const failure = await refusal(here, { backup: id });
      expect(failure).toMatchObject({
        code: 'refused',
        message: expect.stringContaining(`process ${process.pid}`),
      });
      expect(failure.hint).toContain('Stop it');
    }
    if (engine.name === 'sqlite') return;
    // On PostgreSQL it may be one on another host.
    await here.withStore(async (store) => {
      await store.health.ping({});
      const failure = await here.restore({ backup: id }).catch((error: Failure) => error);
      expect(failure).toMatchObject({ code: 'refused', message: expect.stringMatching(/session \d+/) });
    });
    expect(Object.keys(await here.users())).toEqual(['ada', 'bob']);
  });

  story('a backup of another deployment, unless somebody names it', { timeout: PATIENCE }, async () => {
    const { here: there, id } = await withBackup(engine);
    await using _there = there;
    await using here = await Installation.make(engine);
    const asked = { backup: there.archiveOf(id), trust: [readSigningKey(there.stateDir)!.publicKey] };
    const failure = await refusal(here, asked);
    expect(failure).toMatchObject({
      code: 'refused',
      message: expect.stringContaining('the present database'),
    });
    const [, deployment] = /--accept-deployment (\w+)/.exec(failure.hint ?? '') ?? [];
    await refusal(here, { ...asked, acceptDeployment: 'dep_of_nobody' });
    await here.restore({ ...asked, acceptDeployment: deployment });
    expect(Object.keys(await here.users())).toEqual(['ada']);
    // Now that it has gone over, its own backups are the foreign ones.
    expect(await readFile(path.join(here.stateDir, 'deployment'), 'utf8')).toBe(`${deployment}\n`);
  });

  story(
    'a backup that nothing at hand opens, naming who can; and takes the recovery sheet',
    {
      timeout: PATIENCE,
    },
    async () => {
      const identity = makeIdentity(systemRandom);
      const recipients = [recipientOf(identity)];
      const { here, id } = await withBackup(engine, { encryption: { kind: 'age', recipients } });
      await using _here = here;
      const failure = await refusal(here, { backup: id });
      expect(failure.message).toContain(recipients[0]);
      expect(failure.hint).toContain('--recovery-key');
      const file = path.join(here.stateDir, 'backups', 'sheet.txt');
      const write = (secret: string) => {
        const signers = [readSigningKey(here.stateDir)!.publicKey];
        const rest = { deploymentId: 'dep', signers, recipient: recipients[0]!, madeAt: 1 };
        return writeFile(
          file,
          writeRecoverySheet({ ...rest, identity: secret }).replace(/# deployment.*\n/, ''),
        );
      };
      await write(makeIdentity(systemRandom));
      await refusal(here, { backup: id, recoveryKeyFile: file });
      await write(identity);
      await here.restore({ backup: id, recoveryKeyFile: file });
      expect(Object.keys(await here.users())).toEqual(['ada']);
    },
  );

  story(
    'one that was never proven, one that nobody trusted has signed, and one that is not there',
    {
      timeout: PATIENCE,
    },
    async () => {
      const { here, id } = await withBackup(engine, { verified: false });
      await using _here = here;
      expect((await refusal(here, { backup: id })).hint).toContain('--unverified');
      expect(await refusal(here, {})).toMatchObject({ code: 'refused' });
      const foreign = await here.backup({ signer: makeSigner() });
      expect((await refusal(here, { backup: foreign })).message).toContain('not trusted');
      expect(await refusal(here, { backup: here.archiveOf(foreign), unverified: true })).toMatchObject({
        code: 'refused',
      });
      expect(await refusal(here, { backup: '00000009-20300101T000000Z-aaaa' })).toMatchObject({
        code: 'not_found',
      });
      expect(await refusal(here, { backup: '/nowhere/backup.tar.zst' })).toMatchObject({ code: 'not_found' });
      expect(await refusal(here, { target: 'moon' })).toMatchObject({ code: 'invalid_input' });
      await here.restore({ backup: id, unverified: true });
      expect(Object.keys(await here.users())).toEqual(['ada']);
    },
  );

  story(
    'one that a key has signed which was taken out of trust, though the recovery sheet names it',
    {
      timeout: PATIENCE,
    },
    async () => {
      const { here, id } = await withBackup(engine);
      await using _here = here;
      const stolen = makeSigner();
      const forged = await here.backup({ signer: stolen });
      const deployment = await here.withStore(async ({ deployment: of }) => (await of.get({})).id);
      const sheet = path.join(here.stateDir, 'sheet.txt');
      const identity = makeIdentity(systemRandom);
      const signers = [readSigningKey(here.stateDir)!.publicKey, stolen.publicKey];
      const about = { deploymentId: deployment, recipient: recipientOf(identity), madeAt: 1 };
      await writeFile(sheet, writeRecoverySheet({ ...about, signers, identity }));
      const asked = { recoveryKeyFile: sheet };
      expect(await planned(here, { ...asked, backup: forged })).toBe(forged);

      // Whom it vouches for is as little believed as it is itself.
      const vouched = makeSigner();
      const folder = new Folder({ folder: path.join(here.stateDir, 'backups'), random: systemRandom });
      await endorse(folder, { deploymentId: deployment, publicKey: vouched.publicKey, at: 1 }, stolen);
      const followed = await here.backup({ signer: vouched });
      await here.withStore((store) =>
        new RecoveryKeyRecords({ settings: store.settings, clock: systemClock }).distrust(stolen.publicKey),
      );
      for (const backup of [forged, followed, here.archiveOf(followed)]) {
        const failure = await refusal(here, { ...asked, backup, unverified: true });
        expect(failure.message, backup).toContain('not trusted');
      }
      expect(await planned(here, asked)).toBe(id);
      // Who says so in so many words is believed.
      const insisted = { ...asked, backup: forged, trust: [stolen.publicKey] };
      expect(await planned(here, insisted)).toBe(forged);
      // The backup is from before anybody knew.
      await here.restore(asked);
      const after = await here.withStore((store) =>
        new RecoveryKeyRecords({ settings: store.settings, clock: systemClock }).state(),
      );
      expect(after.distrusted).toEqual([stolen.publicKey]);
    },
  );

  story(
    'the newest of another deployment, or one as old as nothing is, and says which there are',
    {
      timeout: PATIENCE,
    },
    async () => {
      const { here, id } = await withBackup(engine);
      await using _here = here;
      const early = await refusal(here, { to: 1000 });
      if (engine.name === 'sqlite') {
        expect(early).toMatchObject({
          code: 'not_found',
          message: expect.stringContaining('the oldest is of 2'),
        });
      }
      expect(early.hint).not.toContain('signature');
      await using there = await Installation.make(engine);
      const backup = { ...there.config.backup, targets: [`local=${path.dirname(here.archiveOf(id))}`] };
      const trust = [readSigningKey(here.stateDir)!.publicKey];
      const failure = await prepareRestore(
        { ...there.config, backup },
        { ...ASKED, trust, acceptDeployment: 'dep_of_nobody' },
        { log: silentLog },
      ).catch((error: Failure) => error);
      expect(failure).toMatchObject({
        code: 'refused',
        message: expect.stringContaining('not of dep_of_nobody'),
      });
      const deployment = await here.withStore(async (store) => (await store.deployment.get({})).id);
      expect((failure as Failure).hint).toContain(`--accept-deployment ${deployment}`);
    },
  );

  story(
    'a copied archive whose signer nobody vouches for, unless the note lies beside it',
    {
      timeout: PATIENCE,
    },
    async () => {
      const second = makeSigner();
      const { here, id } = await withBackup(engine, { signer: second });
      await using _here = here;
      const folder = path.join(here.stateDir, 'copied');
      await nodeDisk.cp(path.dirname(here.archiveOf(id)), folder, { recursive: true });
      const asked = { backup: path.join(folder, path.basename(here.archiveOf(id))) };
      expect((await refusal(here, asked)).message).toContain('not trusted');
      const deploymentId = await here.withStore(async (store) => (await store.deployment.get({})).id);
      const shelf = new Folder({ folder, random: systemRandom });
      const note = { deploymentId, publicKey: second.publicKey, at: 1 };
      // Anybody can put a note there; it counts by whose signature is under it.
      await endorse(shelf, note, makeSigner());
      expect((await refusal(here, asked)).message).toContain('not trusted');
      await endorse(shelf, note, openSigningKey(here.stateDir, systemRandom));
      await here.restore(asked);
      expect(Object.keys(await here.users())).toEqual(['ada']);
    },
  );

  story('an archive with a byte changed, or cut short, wherever that is', { timeout: PATIENCE }, async () => {
    const { here, id } = await withBackup(engine);
    await using _here = here;
    const file = here.archiveOf(id);
    const whole = await readFile(file);
    for (const at of [10, 0.3, 0.6, 0.95].map((share) =>
      share < 1 ? Math.floor(share * whole.length) : share,
    )) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x10;
      await writeFile(file, bytes);
      expect(await refusal(here, { backup: id }), `byte ${at}`).toMatchObject({ code: 'refused' });
      // The same without the record beside it, which has the digest of all of it.
      await writeFile(path.join(here.stateDir, 'backups', 'copy.tar.zst'), bytes);
      await here.restore({ backup: path.join(here.stateDir, 'backups', 'copy.tar.zst') }).then(
        () => expect.fail('nothing was refused'),
        (error: Failure) => expect(error.code).toBe('refused'),
      );
    }
    await writeFile(file, whole.subarray(0, whole.length - 100));
    expect((await refusal(here, { backup: id })).message).toMatch(/the file is cut/);
    expect(await refusal(here, { backup: path.dirname(file) })).toMatchObject({
      code: 'invalid_input',
      message: `"${path.dirname(file)}" is a folder, not an archive.`,
    });
    await writeFile(file, whole);
    await here.restore({ backup: id });
    expect(Object.keys(await here.users())).toEqual(['ada']);
  });

  story('rows that are sealed under a master key that the settings lack', { timeout: PATIENCE }, async () => {
    await using here = await Installation.make(engine);
    const key = {
      id: 'dk_1',
      master_key_id: 'aes_lost',
      wrapped: 'w',
      check_value: 'c',
      created_at: 1,
      rewrapped_at: null,
    };
    await here.withStore((store) => store.dataKeys.add({ key, newest: null }));
    const id = await here.backup();
    const failure = await refusal(here, { backup: id });
    expect(failure).toMatchObject({ code: 'configuration', message: expect.stringContaining('aes_lost') });
  });

  story(
    'to keep sessions without a log, moments that it cannot reach, and a place that is taken',
    {
      timeout: PATIENCE,
    },
    async () => {
      const { here, id } = await withBackup(engine);
      await using _here = here;
      expect((await refusal(here, { backup: id, sessions: 'keep' })).hint).toContain('--sessions=keep');
      expect(await refusal(here, { backup: id, to: Date.now() + 60_000 })).toMatchObject({
        code: 'invalid_input',
      });
      expect((await refusal(here, { backup: id, to: Date.now() })).hint).toContain('--to');
      expect(await refusal(here, { backup: id, to: 1000 })).toMatchObject({ code: 'refused' });
      const { storage } = here;
      const own = storage.driver === 'sqlite' ? storage.sqlite.path : storage.postgres.dsn;
      expect(await refusal(here, { backup: id, into: own })).toMatchObject({ code: 'invalid_input' });
      await using other = await Installation.make(engine);
      await other.addUser('zoe');
      const taken =
        other.storage.driver === 'sqlite' ? other.storage.sqlite.path : other.storage.postgres.dsn;
      expect(await refusal(here, { backup: id, into: taken })).toMatchObject({ code: 'refused' });
      expect(Object.keys(await other.users())).toEqual(['zoe']);
    },
  );

  story('a plan changes nothing and tells everything that is in the way', { timeout: PATIENCE }, async () => {
    const { here, id } = await withBackup(engine, { verified: false });
    await using _here = here;
    const before = { rows: await here.digests(), files: await here.files() };
    {
      using _lock = tryLock(here.config);
      await using planned = await prepareRestore(here.config, { ...ASKED, backup: id }, { log: silentLog });
      expect(planned.obstacles.map(({ message }) => message)).toEqual([
        expect.stringContaining('A server runs'),
        expect.stringContaining('never proven'),
      ]);
      expect(planned.plan).toMatchObject({
        backup: { id, verified_at: null },
        sessions: 'end',
        schema_steps: [],
      });
      expect(planned.plan.lost!.from).toBeLessThan(planned.plan.lost!.to);
      expect(planned.plan.kept_as).toMatch(/before/);
    }
    expect({ rows: await here.digests(), files: await here.files() }).toEqual(before);
  });
});

describe('on SQLite', () => {
  test('too little disk is refused before anything is written', { timeout: PATIENCE }, async () => {
    const { here, id } = await withBackup({ name: 'sqlite' });
    await using _here = here;
    const full = { ...nodeDisk, statfs: async () => ({ bavail: 1, bsize: 4096 }) } as unknown as Disk;
    const failure = await refusal(here, { backup: id }, { files: new Files(full) });
    expect(failure).toMatchObject({ code: 'refused', detail: expect.stringMatching(/\d+ MiB are needed/) });
  });

  test('a database that the settings name by a link is exchanged where it is', {
    timeout: PATIENCE,
  }, async () => {
    const { here, id } = await withBackup({ name: 'sqlite' });
    await using _here = here;
    const named = path.join(here.stateDir, 'authserver.db');
    const elsewhere = path.join(here.stateDir, 'keys', 'real.db');
    await nodeDisk.mkdir(path.dirname(elsewhere), { recursive: true });
    await nodeDisk.rename(named, elsewhere);
    await nodeDisk.symlink(path.join('keys', 'real.db'), named);
    await here.restore({ backup: id });
    expect(Object.keys(await here.users())).toEqual(['ada']);
    expect(await nodeDisk.readlink(named)).toBe(path.join('keys', 'real.db'));
    expect((await here.files()).filter((name) => name.includes('before'))).toEqual([
      'keys/real.db.before-restore-1',
    ]);
  });

  test('a present database that is damaged is kept as it is, log and all', {
    timeout: PATIENCE,
  }, async () => {
    const { here, id } = await withBackup({ name: 'sqlite' });
    await using _here = here;
    const file = path.join(here.stateDir, 'authserver.db');
    await writeFile(file, 'no database at all');
    await writeFile(`${file}-wal`, 'a log of something else');
    const receipt = await here.restore({ backup: id });
    expect(receipt.notes.join()).toContain('cannot be read');
    expect(Object.keys(await here.users())).toEqual(['ada']);
    expect(await readFile(`${file}.before-restore-1`, 'utf8')).toBe('no database at all');
    expect(await readFile(`${file}.before-restore-1-wal`, 'utf8')).toBe('a log of something else');
    await expect(here.undo()).rejects.toMatchObject({ code: 'refused' });
    expect(Object.keys(await here.users())).toEqual(['ada']);
  });
});
