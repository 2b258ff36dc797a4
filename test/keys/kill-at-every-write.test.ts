// A process that dies at any write of anything that is done to keys leaves a set that a server starts with: tokens that were
// issued verify, no key is made in place of another, and the work can be done again to its end.

import { expect, test } from 'vitest';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import type { Keyring } from '../../src/keys/keyring.ts';
import type { SigningKeyStore, Store } from '../../src/store/store.ts';
import { describeEngines } from '../setup/engines.ts';
import { Fuse, fusedDisk, fusedVerbs } from './fuse.ts';
import { PRIVATE_HALVES, type PrivateHalves, Rig } from './rig.ts';

const KEY_VERBS: readonly (keyof SigningKeyStore)[] = [
  'addFirst',
  'addPending',
  'activate',
  'retireDue',
  'retire',
  'compromise',
  'takeOver',
  'revokeSigned',
];

interface Scene {
  readonly rig: Rig;
  /** Of the process that will die. */
  readonly ring: Keyring;
  /** The key that signed when the scene was set. */
  readonly former: string;
}

interface Chore {
  readonly name: string;
  /** Before the fuse is set. */
  readonly prepare?: (scene: Scene) => Promise<void>;
  readonly work: (scene: Scene) => Promise<void>;
  /** Tokens of the former key are refused afterwards, or perhaps already. */
  readonly drops?: boolean;
  /** The private half of the key that signs is gone before. */
  readonly loses?: boolean;
  /** It is about private halves that come or go here, so not about those that the operator keeps. */
  readonly ownHalves?: boolean;
}

const CHORES: readonly Chore[] = [
  {
    name: 'a rotation, from the new key to the end of the old one',
    async work({ rig, ring, former }) {
      rig.clock.moveTo((await ring.rotate()).activates_at);
      await ring.tick();
      rig.clock.moveTo(ring.state().keys.find(({ kid }) => kid === former)?.retires_at ?? 0);
      await ring.tick();
      // The private half goes a little later.
      rig.clock.advance(60_000);
      await ring.tick();
    },
  },
  {
    name: 'dropping the key that signs',
    drops: true,
    work: async ({ ring, former }) => void (await ring.management.compromise(former)),
  },
  {
    name: 'dropping the key that signs while another one waits',
    drops: true,
    prepare: async ({ ring }) => void (await ring.rotate()),
    work: async ({ ring, former }) => void (await ring.management.compromise(former)),
  },
  {
    name: 'withdrawing the key that waits',
    prepare: async ({ ring }) => void (await ring.rotate()),
    async work({ ring }) {
      const waiting = ring.state().keys.find(({ state }) => state === 'pending');
      await ring.management.retire(waiting?.kid ?? '');
    },
  },
  {
    name: 'taking a key in',
    ownHalves: true,
    work: async ({ ring }) =>
      void (await ring.management.import({ key: writePem(await makeKeyPair('ES256')), activeNow: false })),
  },
  {
    name: 'going on with a new key where one is lost',
    loses: true,
    ownHalves: true,
    work: async ({ ring }) => void (await ring.management.recover()),
  },
];

/** Does the chore in a process that dies at the `fatal`th write; false when it has come to its end. */
async function dies(rig: Rig, halves: PrivateHalves, chore: Chore, fuse: Fuse): Promise<boolean> {
  const current = { fuse: new Fuse(Number.POSITIVE_INFINITY, true) };
  const former = await signed(rig, halves);
  if (chore.loses) await (await halves.open(rig, rig)).remove(former.kid);
  // Nothing is left over from before that would stand in the way.
  await clearStray(rig, halves);
  const ring = await openFused(rig, halves, current);
  const scene = { rig, ring, former: former.kid };
  await chore.prepare?.(scene);
  const created = () => rig.changes.filter(({ action }) => action === 'key.created').length;
  const before = created();
  current.fuse = fuse;
  await chore.work(scene).catch(() => undefined);
  ring.close();
  const place = `after ${fuse.writes.join(', ')}`;

  // Another start, with the settings of a server in use: it makes nothing, and whoever had a token goes on.
  const rows = await rig.store.keys.list({});
  const record = rows.find(({ kid }) => kid === former.kid);
  const again = await rig.open({ halves, isNew: false, mustSign: !chore.loses });
  if (again.state().signing === null) {
    expect(record?.state, place).toBe('active');
    await expect(rig.open({ halves, isNew: false }), place).rejects.toMatchObject({ code: 'configuration' });
  }
  expect(await rig.store.keys.list({}), place).toEqual(rows);
  expect(
    rows.filter(({ state }) => state === 'active'),
    place,
  ).toHaveLength(1);
  const inForce = (record?.retires_at ?? Number.POSITIVE_INFINITY) > rig.clock.now();
  if (!chore.drops && inForce) expect(await again.verify(former.jwt), place).toBeDefined();
  if (again.state().signing === null) {
    await clearStray(rig, halves);
    await again.management.recover();
    expect(await again.verify(former.jwt), place).toBeDefined();
  }
  const probe = await again.sign('at+jwt', {});
  expect(await again.verify(probe.jwt), place).toBeDefined();
  // Only a key that is dropped while it signs, and has no heir, is replaced by one that signs at once.
  expect(created() - before, place).toBeLessThan(chore.drops || chore.loses ? 2 : 1);

  // What was begun can be brought to its end, and all is as it should be, but for a private half that nobody uses.
  if (record?.state === 'compromised') await again.management.compromise(former.kid);
  await again.tick();
  const waiting = again.state().keys.find(({ state }) => state === 'pending');
  const next = waiting ?? (await again.rotate());
  rig.clock.moveTo(Math.max(next.activates_at, rig.clock.now()));
  await again.tick();
  expect((await again.sign('at+jwt', {})).kid, place).toBe(next.kid);
  const { findings } = await again.management.verify();
  expect(
    findings.filter(({ ok, state }) => !ok && state !== 'unknown'),
    place,
  ).toEqual([]);
  again.close();
  return fuse.isBlown;
}

/** A token of the key that signs now. */
async function signed(rig: Rig, halves: PrivateHalves): Promise<{ jwt: string; kid: string }> {
  const ring = await rig.open({ halves });
  const token = await ring.sign('at+jwt', {});
  ring.close();
  return token;
}

/** What the operator does whom `recover` has told of private halves that the database does not know. */
async function clearStray(rig: Rig, halves: PrivateHalves): Promise<void> {
  if (halves.external) return;
  const keyStore = await halves.open(rig, rig);
  const known = new Set((await rig.store.keys.list({})).map(({ kid }) => kid));
  for (const kid of await keyStore.list()) if (!known.has(kid)) await keyStore.remove(kid);
}

/** A keyring whose every write goes through the fuse of the moment. */
async function openFused(rig: Rig, halves: PrivateHalves, current: { fuse: Fuse }): Promise<Keyring> {
  const fuse = { write: (name: string, work: () => Promise<unknown>) => current.fuse.write(name, work) };
  const relay = Object.assign(Object.create(Fuse.prototype) as Fuse, fuse, {
    check: () => current.fuse.check(),
  });
  const keys = fusedVerbs(relay, rig.store.keys, KEY_VERBS);
  const privateKeys = fusedVerbs(relay, rig.store.privateKeys, ['save', 'remove']);
  const store: Store = { ...rig.store, privateKeys };
  const inner = await halves.open(rig, { disk: fusedDisk(relay), store, keys, fuse: relay });
  return rig.open({ keys, keyStore: inner, isNew: false, mustSign: false });
}

describeEngines('a kill at every write of', (engine) => {
  // Private halves that are kept elsewhere never meet the engine, so one engine will do for them.
  for (const halves of PRIVATE_HALVES.filter(({ external }) => !external || engine.name === 'sqlite')) {
    const chores = CHORES.filter(({ ownHalves }) => !(ownHalves && halves.external));
    test.each(chores)(`$name, with private halves in ${halves.name}`, { timeout: 60_000 }, async (chore) => {
      await using rig = await Rig.make(engine);
      let kills = 0;
      for (const lands of [false, true])
        for (let fatal = 0; await dies(rig, halves, chore, new Fuse(fatal, lands)); fatal++) kills += 1;
      expect(kills).toBeGreaterThan(halves.external ? 1 : 2);
    });
  }
});
