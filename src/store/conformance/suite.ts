/**
 * conformance: what a driver must do to be a store. Every promise that store.ts makes, in its comments and its types, is a
 * test here, races and faults included; a driver passes when its harness does. It must not know any engine.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeCodes } from './codes.ts';
import { describeFaults } from './faults.ts';
import type { Harness, OpenedStore } from './harness.ts';
import { describeIdentity } from './identity.ts';
import { describeInstallation, describeKeysOf } from './installation.ts';
import { describeLeases } from './leases.ts';
import { describeLoginFailures } from './login-failures.ts';
import { describePurging } from './purging.ts';
import { describeRaces } from './races.ts';
import { describeRegistry } from './registry.ts';
import { describeReinstating } from './reinstating.ts';
import { describeRevocations } from './revocations.ts';
import { issuanceRow } from './rows.ts';
import { describeSnapshots } from './snapshots.ts';
import { describeSweeping } from './sweeping.ts';
import { describeTokens } from './tokens.ts';
import { World } from './world.ts';

/** Describes the whole suite for one driver. */
export function conformance(name: string, harness: Harness): void {
  describe(`the store on ${name}`, () => {
    // One store for all of them: each test has rows of its own.
    describe('aggregates', () => {
      let opened: OpenedStore;
      beforeAll(async () => {
        opened = await harness.open();
      });
      afterAll(() => opened.dispose());
      const world = () => new World(opened.store);
      describeIdentity(world);
      describeLoginFailures(world);
      describeRegistry(world);
      describeCodes(world);
      describeTokens(world);
      describeInstallation(world);
      describeLeases(world);
      describeReinstating(world);
      describe('races', () => describeRaces(world));
    });
    describeKeysOf(harness);
    describeSweeping(harness);
    describePurging(harness);
    describeRevocations(harness);
    describeSnapshots(harness);
    describeClosing(harness);
    describeFaults(harness.openFragile);
  });
}

function describeClosing(harness: Harness): void {
  describe('close', () => {
    it('finishes what was accepted, takes nothing more, and may be asked for twice', async () => {
      const opened = await harness.open();
      const { store } = opened;
      const client_id = (await new World(store).client()).id;
      const rows = Array.from({ length: 200 }, () => issuanceRow({ client_id }));
      const accepted = rows.map((issuance) => store.issuances.record({ issuance }));
      const closed = [store.close(), store.close()];
      await expect(store.issuances.record({ issuance: issuanceRow() })).rejects.toMatchObject({
        code: 'unavailable',
      });
      await Promise.all([...accepted, ...closed]);
      await expect(store.deployment.get({})).rejects.toMatchObject({ code: 'unavailable' });
      await opened.dispose();
    });

    it('closes at once when nothing was ever asked', async () => {
      const opened = await harness.open();
      await opened.dispose();
      await expect(opened.store.health.ping({})).rejects.toMatchObject({ code: 'unavailable' });
    });
  });
}
