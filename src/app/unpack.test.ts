import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { describeEngines, freshStorage } from '../../test/setup/engines.ts';
import { openFreshStore, storageChoice } from '../../test/setup/fresh-store.ts';
import { makeSigner, TAIL } from '../archive/archive.test-kit.ts';
import { openArchive } from '../archive/reader.ts';
import { writeArchive } from '../archive/writer.ts';
import { systemClock } from '../kernel/clock.ts';
import { systemRandom } from '../kernel/random.ts';
import { digestTables } from '../store/snapshot.ts';
import { openScratch } from './scratch.ts';
import { readSnapshot } from './snapshots.ts';
import { unpackInto } from './unpack.ts';

const parts = { clock: systemClock, random: systemRandom };

describeEngines('an archive in an empty database', (engine) => {
  it('has the rows that it was written from, and a scratch place goes with all that is in it', async () => {
    await using fresh = await freshStorage(engine);
    const storage = storageChoice(fresh);
    const store = await openFreshStore(storage);
    await store.users.create({ user: USER, password_hash: 'x' });
    await store.close();
    const signer = makeSigner();
    await using snapshot = await readSnapshot(storage, { clock: systemClock });
    const { head } = snapshot;
    const archive = writeArchive({
      head: {
        id: '00000001-20261122T000439Z-k3f9',
        sequence: 1,
        deploymentId: head.deployment.id,
        restoreEpoch: head.deployment.restore_epoch,
        program: '0.0.0',
        madeAt: head.from,
        schema: head.steps,
        tables: head.tables,
        recoveryPoint: { from: head.from, to: head.to, audit: head.audit },
        tags: [],
      },
      parts: snapshot.parts(),
      tail: () => TAIL,
      encryption: { kind: 'none' },
      signer,
      random: systemRandom,
    });
    const parent = await mkdtemp(path.join(tmpdir(), 'authserver-unpack-'));
    {
      await using scratch = await openScratch(storage, parent);
      await using opened = await openArchive(archive, { trust: [signer.publicKey] });
      const { totals, keys, manifest } = await unpackInto(scratch.storage, opened, parts);
      expect(manifest.deployment_id).toBe(head.deployment.id);
      expect(keys.map(({ name }) => name)).toEqual(TAIL.privateKeys.map(({ name }) => name).sort());
      await using again = await readSnapshot(scratch.storage, { clock: systemClock });
      expect(await digestTables(again)).toEqual(totals);
      expect(totals.find(({ table }) => table === 'users')?.rows).toBe(1);
    }
    expect(await readdir(parent)).toEqual([]);
    await rm(parent, { recursive: true });
  });
});

const USER = {
  id: 'u1',
  username: 'ada',
  email: null,
  email_verified: 0,
  status: 'active',
  profile_json: '{}',
  created_at: 1,
  updated_at: 1,
} as const;
