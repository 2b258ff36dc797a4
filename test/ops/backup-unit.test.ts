// Rows and keys are one unit, whatever happens to the keys while backups are made; and what goes into a backup beside the rows.

import { mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { makeBackupDesk } from '../../src/app/backup/desk.ts';
import { listElsewhere } from '../../src/app/backup/elsewhere.ts';
import { backupTrust, makeFirstRecoveryKey, openBackupIdentity } from '../../src/app/backup/identity.ts';
import type { RecoverySheet } from '../../src/app/backup/recovery-sheet.ts';
import { openSigningKey, SIGNING_KEY_FILE } from '../../src/app/backup/signing-key.ts';
import { keysAtHand } from '../../src/app/restore/keys-at-hand.ts';
import { recipientOf } from '../../src/archive/age-keys.ts';
import { archiveParts, HEAD, partsOf } from '../../src/archive/archive.test-kit.ts';
import { writeArchive } from '../../src/archive/writer.ts';
import { parseJws } from '../../src/keys/jws.ts';
import { readKeyPair } from '../../src/keys/key-pair.ts';
import type { BackupDesk } from '../../src/ops/backup/desk.ts';
import { endorseOthers } from '../../src/ops/backup/endorse.ts';
import { distrustSigner, showKey } from '../../src/ops/backup/key.ts';
import { listBackups } from '../../src/ops/backup/list.ts';
import { KeyMissing } from '../../src/ops/backup/one-unit.ts';
import type { Packer } from '../../src/ops/backup/pack.ts';
import { RecoveryKeyRecords } from '../../src/ops/backup/recovery-key.ts';
import { describeEngines } from '../setup/engines.ts';
import { type Contents, type Deployment, openDeployment, SYSTEM } from './backup-kit.ts';

/** Fewer on PostgreSQL, where each takes twice as long. */
const BACKUPS = { sqlite: 200, postgres: 50 };
/** One in so many is made as a server makes it; the others are of nothing but keys, which is what may go wrong. */
const WHOLE = 20;
const SIGNING_KEYS = { name: 'signing_keys', columns: ['kid'], key: ['kid'] };

/** Rotates, withdraws and removes keys for as long as it is let. */
async function churn({ rooms }: Deployment, signal: AbortSignal): Promise<number> {
  const { keyring } = rooms;
  let changes = 0;
  for (; !signal.aborted; changes++) {
    const { signing } = keyring.state();
    if (signing !== null && changes % 3 > 0) await keyring.management.compromise(signing);
    else await keyring.rotate();
    // Each time another while, so that backups are at every step of theirs.
    await sleep((changes * 37) % 150);
  }
  return changes;
}

/** An archive of the rows of keys, as they are in one moment, while it takes a while to read all else. */
function packKeys({ rooms, stateDir }: Deployment): Packer {
  let packed = 0;
  return async ({ id, sequence, deploymentId, file }, asks) => {
    const signingKeys = await rooms.store.keys.list({});
    asks.begun();
    await sleep((packed++ * 23) % 30);
    const lines = signingKeys.map((key) => JSON.stringify(key));
    const archive = writeArchive(
      archiveParts(openSigningKey(stateDir, rooms.random), {
        head: { ...HEAD, id, sequence, deploymentId, tables: [SIGNING_KEYS] },
        parts: partsOf({ signing_keys: [lines] }),
        tail: () => asks.tail({ signingKeys, dataKeys: [], privateKeys: [] }),
      }),
    );
    await writeFile(file, archive);
    return archive.written();
  };
}

/** Keys that rows of the archive sign with, and that are not in it. */
function lacking({ rows, keys, manifest }: Contents): string[] {
  const signing = (rows.get('signing_keys') ?? []).filter(
    ({ state, key_store }) => (state === 'active' || state === 'pending') && key_store === 'keyfile',
  );
  expect(signing.length).toBeGreaterThan(0);
  return signing
    .map(({ kid }) => String(kid))
    .filter(
      (kid) =>
        readKeyPair(keys.get(`${kid}.pem`) ?? '')?.kid !== kid ||
        !manifest.keys.needed.includes(kid) ||
        !manifest.keys.public.some((key) => key.kid === kid),
    );
}

function unlessKeyMissing(error: unknown): undefined {
  if (!(error instanceof KeyMissing)) throw error;
}

describeEngines('what is in a backup', (engine) => {
  const backups = BACKUPS[engine.name];
  test(`no key is missing from any of ${backups} backups while keys are rotated and withdrawn`, async () => {
    await using deployment = await openDeployment(engine, {
      SIGNING_JWKS_MAX_AGE: '1s',
      BACKUP_PLAINTEXT: 'true',
    });
    const stop = new AbortController();
    const churning = churn(deployment, stop.signal);
    const found: string[] = [];
    const light = { pack: packKeys(deployment) };
    let refused = 0;
    try {
      for (let made = 0; made < backups; ) {
        const parts = made % WHOLE === 0 ? {} : light;
        const report = await deployment.create({ verify: false }, parts).catch(unlessKeyMissing);
        if (!report) {
          refused += 1;
          continue;
        }
        made += 1;
        const contents = await deployment.read(String(report.id));
        found.push(...lacking(contents));
        // The token that is to be verified after a restore is of a key that is published there.
        const canary = parseJws(contents.config.canary ?? '');
        if (canary) expect(contents.manifest.keys.public.map(({ kid }) => kid)).toContain(canary.header.kid);
      }
    } finally {
      stop.abort();
      await churning;
    }
    expect(await churning).toBeGreaterThan(backups / 4);
    // A key that came and went within milliseconds, three times in a row: no backup is better than half a one.
    expect(refused).toBeLessThan(backups / 10);
    expect(found).toEqual([]);
  }, 240_000);

  test('of twenty servers that start at once on an empty installation one shows a recovery key, and all are trusted', async () => {
    await using deployment = await openDeployment(engine, { BACKUP_PLAINTEXT: 'true' });
    const { rooms } = deployment;
    const config = { ...rooms.config, backup: { ...rooms.config.backup, plaintext: false } };
    const shown = await Promise.all(
      Array.from({ length: 20 }, () => makeFirstRecoveryKey(config, rooms.store, rooms)),
    );
    const [key, ...more] = shown.filter((each) => each !== undefined);
    expect(more).toEqual([]);
    const records = new RecoveryKeyRecords({ settings: rooms.store.settings, clock: rooms.clock });
    expect((await records.state()).recipient).toBe(recipientOf(String(key?.identity)));
    const signers = Array.from({ length: 20 }, (_, n) => `signer-${n}`);
    await Promise.all(signers.map((signer) => records.trust(signer)));
    expect((await records.state()).signers).toEqual(expect.arrayContaining(signers));
  });

  test('the sheet of the first server leads to backups that a later one has signed, once the first has vouched for it', async () => {
    await using first = await openDeployment(engine);
    await using folder = await mkdtempDisposable(path.join(tmpdir(), 'second-server-'));
    const { config } = first.rooms;
    const identity = () =>
      openBackupIdentity({ ...config, state_dir: folder.path }, first.rooms.store, first.rooms.random);
    const second: BackupDesk = {
      ...first.desk,
      async identity() {
        const opened = await identity();
        return { ...opened, signingKey: { name: SIGNING_KEY_FILE, text: opened.signer.pem } };
      },
    };
    const own = await first.create();
    const { id } = await first.create({}, second);
    const signers = [(await first.desk.identity()).signer.publicKey];
    const { id: deploymentId } = await first.rooms.store.deployment.get({});
    const signal = new AbortController().signal;
    const listed = async (sheet: RecoverySheet) =>
      (await listElsewhere(config, { target: null, sheet, signal })).items.map(({ id, state }) => [
        id,
        state,
      ]);
    const sheet = { identities: [], signers, deploymentId };
    expect(await listed(sheet)).toEqual([
      [own.id, 'verified'],
      [id, 'unknown'],
    ]);
    expect(await endorseOthers(second, signal)).toBe(false);
    expect(await endorseOthers(first.desk, signal)).toBe(true);
    expect(await endorseOthers(second, signal)).toBe(true);
    expect(await listed(sheet)).toEqual([
      [own.id, 'verified'],
      [id, 'verified'],
    ]);
    expect(await listed({ ...sheet, deploymentId: 'dep_other' })).toContainEqual([id, 'unknown']);
    const brought = { recoveryKeyFile: undefined, passphraseFile: undefined, trust: signers };
    const keys = await keysAtHand(config, brought, { signers: [], distrusted: [] });
    expect(keys.trust).toContain((await identity()).signer.publicKey);

    const { signer } = await identity();
    const stolen = signer.publicKey;
    await expect(distrustSigner(second, stolen, SYSTEM)).rejects.toMatchObject({ code: 'refused' });
    await expect(distrustSigner(first.desk, 'A'.repeat(43), SYSTEM)).rejects.toMatchObject({
      code: 'not_found',
    });
    const report = await distrustSigner(first.desk, stolen, SYSTEM);
    expect(report).toMatchObject({ signers, distrusted: [stolen] });
    const items = async () =>
      (await listBackups(first.desk, { target: null, signal })).items.map(({ id, state }) => [id, state]);
    expect(await items()).toContainEqual([own.id, 'verified']);
    expect(await items()).toContainEqual([id, 'unknown']);
    // Nobody vouches for it any more, now or later, so that a sheet which does not name it leads to it no more.
    await endorseOthers(first.desk, signal);
    expect(await listed(sheet)).toContainEqual([id, 'unknown']);
    await expect(second.identity()).rejects.toMatchObject({ code: 'refused' });
    const named = { ...config, backup: { ...config.backup, trusted_signers: [stolen] } };
    expect(await backupTrust(named, first.rooms.store)).toEqual(signers);
    // Said again, for a target that did not answer.
    expect(await distrustSigner(first.desk, stolen, SYSTEM)).toEqual(report);
    const events = await first.rooms.store.audit.list({ after: 0, limit: 100 });
    expect(events.map(({ action }) => action)).toContain('backup.signer_distrusted');
  });

  test('a look at the keys from another machine makes nobody sign', async () => {
    await using deployment = await openDeployment(engine);
    await using folder = await mkdtempDisposable(path.join(tmpdir(), 'onlooker-'));
    const { rooms } = deployment;
    const config = { ...rooms.config, state_dir: folder.path };
    const desk = makeBackupDesk({ ...rooms, config });
    const { signers } = await showKey(desk);
    expect(signers).toEqual([(await deployment.desk.identity()).signer.publicKey]);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test('a key that is gone for good stops the backup, and is named; nothing is left', async () => {
    await using deployment = await openDeployment(engine);
    const { signing } = deployment.rooms.keyring.state();
    const failure = await deployment
      .create({}, { readKeys: async () => [] })
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'failed', message: expect.stringContaining(String(signing)) });
    const half = { readKeys: async () => [{ kid: String(signing), pem: '-----BEGIN PRIVATE KEY-----\n' }] };
    await expect(deployment.create({}, half)).rejects.toMatchObject({ code: 'failed' });
    const [place] = await deployment.desk.places();
    for await (const holding of place?.target.list() ?? []) expect.unreachable(holding.id);
  });

  test('settings are in it, secrets are not; the key that signs backups is, and the sequence is remembered in it', async () => {
    const secret = 'mq9w-Xk2v_71LpZz-4711-tR';
    await using deployment = await openDeployment(engine, { ADMIN_API_KEY: secret });
    const { id, sequence, encryption } = await deployment.create({ tags: ['nightly'] });
    const { manifest, config, keys, rows } = await deployment.read(String(id));
    // Who can open it from now on: the one that has tried it is forgotten.
    const opens = { kind: 'age', recipients: [recipientOf(deployment.recoveryKey)] };
    expect([encryption, manifest.encryption]).toEqual([opens, opens]);
    expect(config.settings).toMatchObject({
      'server.issuer': 'http://localhost:9000',
      'backup.keep.daily': 7,
      'admin.api_key': { fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/) },
    });
    expect(JSON.stringify([...rows, config])).not.toContain(secret);
    expect(manifest).toMatchObject({ sequence, tags: ['nightly'], id });
    expect(keys.get('backup-signing.pem')).toContain('PRIVATE KEY');
    expect(rows.get('settings')).toContainEqual(
      expect.objectContaining({ name: 'backup.sequence', value: '1' }),
    );
    expect(parseJws(config.canary ?? '')).toMatchObject({
      header: { typ: 'canary+jwt' },
      claims: { aud: 'urn:authserver:canary' },
    });
  });
});
