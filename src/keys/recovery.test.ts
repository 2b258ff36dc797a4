import { rm } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { makeKeyPair, writePem } from './key-pair.ts';
import { Installation, onlyStore, TIMING } from './keyring.test-kit.ts';
import { retiresAt } from './lifecycle.ts';
import { pemKeyStore } from './stores/pem-key-store.ts';

/** An installation whose signing key is lost, and a token of it. */
async function lost() {
  const installation = await Installation.make();
  const { jwt, kid } = await (await installation.open()).sign('at+jwt', {});
  const keyfile = await installation.keyfile();
  await rm(keyfile.locate(kid));
  return { installation, jwt, kid, keyfile };
}

describe('recovery with a new key', () => {
  test('signs at once, and tokens of the lost key verify on until they run out', async () => {
    const { installation, jwt, kid, keyfile } = await lost();
    await using _installation = installation;
    const ring = await installation.open({ mustSign: false, installationIsNew: false });
    expect(ring.state()).toMatchObject({ signing: null, problems: [{ code: 'configuration' }] });
    await expect(ring.sign('at+jwt', {})).rejects.toMatchObject({ code: 'configuration' });
    const until = retiresAt(installation.clock.now(), TIMING.longestLifetime, TIMING);

    const report = await ring.management.recover();
    expect(report).toEqual({
      successor: { kid: report.successor.kid, published_for: 0 },
      lost: kid,
      verifies_until: until,
      withdrawn: [],
      jwks_max_age: TIMING.jwksMaxAge,
    });
    expect((await ring.sign('at+jwt', {})).kid).toBe(report.successor.kid);
    expect(await ring.verify(jwt)).toBeDefined();
    expect(ring.jwks().keys.map((key) => key.kid)).toEqual([report.successor.kid, kid]);
    expect(await keyfile.list()).toEqual([report.successor.kid]);
    expect((await ring.management.verify()).ok).toBe(true);
    installation.clock.moveTo(until);
    expect(await ring.verify(jwt)).toBeUndefined();
    // And the next start is one like any other.
    await installation.open({ installationIsNew: false });
  });

  test('takes the key that waits, and withdraws one that is lost too', async () => {
    for (const waitingIsLost of [false, true]) {
      await using installation = await Installation.make();
      const former = await installation.open();
      const { kid } = await former.sign('at+jwt', {});
      const waiting = (await former.rotate()).kid;
      const keyfile = await installation.keyfile();
      await rm(keyfile.locate(kid));
      if (waitingIsLost) await rm(keyfile.locate(waiting));
      const ring = await installation.open({ mustSign: false });
      const { successor, withdrawn } = await ring.management.recover();
      expect(withdrawn).toEqual(waitingIsLost ? [waiting] : []);
      expect(successor.kid === waiting).toBe(!waitingIsLost);
      expect(ring.state().signing).toBe(successor.kid);
    }
  });

  test('is refused while a key can sign', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    await expect(ring.management.recover()).rejects.toMatchObject({ code: 'refused' });
    expect(await (await installation.keyfile()).list()).toHaveLength(1);
  });

  test('is refused while the key store only does not answer, and so is a key that would sign at once', async () => {
    await using installation = await Installation.make();
    const { kid } = await (await installation.open()).sign('at+jwt', {});
    installation.store.issuances.push({ kid, expires_at: 0, revoked: false });
    const keyStore = pemKeyStore(await installation.keyfile());
    const signer = () => Promise.reject(new Failure('unavailable', 'The key store does not answer.'));
    const keyStores = onlyStore({ ...keyStore, signer });
    const ring = await installation.open({ mustSign: false, keyStores });
    await expect(ring.management.recover()).rejects.toMatchObject({ code: 'unavailable' });
    const key = writePem(await makeKeyPair('ES256'));
    await expect(ring.management.import({ key, activeNow: true })).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect([...installation.store.rows.keys()]).toEqual([kid]);
    expect(await keyStore.list()).toEqual([kid]);
  });

  test('is refused while private keys lie there that may be the lost one, and names them', async () => {
    const { installation, keyfile } = await lost();
    await using _installation = installation;
    const stray = await makeKeyPair('ES256');
    await keyfile.save(stray.kid, writePem(stray));
    const ring = await installation.open({ mustSign: false });
    const failure = await ring.management.recover().catch((error) => error);
    expect(failure).toMatchObject({ code: 'refused' });
    expect(failure.message).toContain(keyfile.locate(stray.kid));
    expect(failure.hint).toContain(`authserver keys import ${keyfile.locate(stray.kid)} --active-now`);
    expect(await keyfile.list()).toEqual([stray.kid]);
  });

  test('gives a database whose rows are gone a key again', async () => {
    const { installation } = await lost();
    await using _installation = installation;
    installation.store.rows.clear();
    const ring = await installation.open({ mustSign: false, installationIsNew: false });
    expect(ring.state()).toMatchObject({ signing: null, problems: [{ code: 'configuration' }] });
    expect(installation.store.rows.size).toBe(0);
    const { successor, lost: none } = await ring.management.recover();
    expect(none).toBeNull();
    expect(ring.state()).toMatchObject({ signing: successor.kid, problems: [] });
  });

  test('happens once when two ask for it', async () => {
    const { installation } = await lost();
    await using _installation = installation;
    const rings = [
      await installation.open({ mustSign: false }),
      await installation.open({ mustSign: false }),
    ];
    const runs = await Promise.allSettled(rings.map((ring) => ring.management.recover()));
    expect(runs.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
    const active = [...installation.store.rows.values()].filter(({ state }) => state === 'active');
    expect(active).toHaveLength(1);
    // Nobody has replaced the key that the other one has made.
    expect(installation.store.rows.size).toBe(2);
    await installation.open({ installationIsNew: false });
  });
});

describe('lost keys at a start', () => {
  test('are all named, in one message, within a second, with every way back', async () => {
    await using installation = await Installation.make();
    const former = await installation.open();
    const { kid } = await former.sign('at+jwt', {});
    const waiting = (await former.rotate()).kid;
    const keyfile = await installation.keyfile();
    for (const id of [kid, waiting]) await rm(keyfile.locate(id));
    const stray = await makeKeyPair('ES256');
    await keyfile.save(stray.kid, writePem(stray));
    const started = performance.now();
    const failure = await installation.open({ installationIsNew: false }).catch((error) => error);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(failure.code).toBe('configuration');
    for (const id of [kid, waiting]) {
      expect(failure.message).toContain(id);
      expect(failure.message).toContain(keyfile.locate(id));
      expect(failure.hint).toContain(`Put ${keyfile.locate(id)} back from a backup`);
    }
    expect(failure.hint).toContain('authserver keys import FILE');
    expect(failure.hint).toContain(`authserver keys import ${keyfile.locate(stray.kid)} --active-now`);
    expect(failure.hint).toContain('authserver keys recover --new');
    expect(await keyfile.list()).toEqual([stray.kid]);
    expect(installation.store.rows.size).toBe(2);
  });
});
