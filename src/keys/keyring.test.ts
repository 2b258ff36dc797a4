import {
  compactVerify,
  createLocalJWKSet,
  decodeProtectedHeader,
  type JSONWebKeySet,
  UnsecuredJWT,
} from 'jose';
import { describe, expect, test, vi } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import type { Algorithm } from './jwk.ts';
import { JwsSigner, localSignature } from './jws.ts';
import { makeKeyPair } from './key-pair.ts';
import { Installation, onlyStore, TIMING } from './keyring.test-kit.ts';
import type { Keyring } from './keyring.ts';
import { VIEW_LIFETIME } from './lifecycle.ts';
import { pemKeyStore } from './stores/pem-key-store.ts';

const stateOf = (ring: Keyring, kid: string) => ring.state().keys.find((key) => key.kid === kid)?.state;
const kids = (ring: Keyring) => ring.jwks().keys.map((key) => key.kid);

/** Rotates and waits until the new key signs; the id of the new key. */
async function rotateFully(installation: Installation, ring: Keyring): Promise<string> {
  const { kid, activates_at } = await ring.rotate();
  installation.clock.moveTo(activates_at);
  await ring.tick();
  return kid;
}

describe('signing and verifying', () => {
  test.each<Algorithm>(['ES256', 'EdDSA', 'RS256'])(
    'a new installation signs with %s at once',
    async (algorithm) => {
      await using installation = await Installation.make();
      const ring = await installation.open({ algorithm });
      const { jwt, kid } = await ring.sign('at+jwt', { sub: 'user', exp: 1 });

      const { protectedHeader } = await compactVerify(jwt, createLocalJWKSet(ring.jwks() as JSONWebKeySet));
      expect(protectedHeader).toEqual({ alg: algorithm, kid, typ: 'at+jwt' });
      expect(await ring.verify(jwt)).toEqual({ sub: 'user', exp: 1 });
      expect(ring.jwks().keys).toMatchObject([{ kid, alg: algorithm, use: 'sig' }]);
      expect(JSON.stringify(ring.jwks())).not.toMatch(/"(d|p|q|dp|dq|qi)":/);
      expect(ring.algorithm).toBe(algorithm);
      expect(ring.state()).toMatchObject({ signing: kid, problems: [], keys: [{ kid, state: 'active' }] });
      expect(installation.changes).toEqual([{ action: 'key.created', kid }]);
    },
  );

  test('a second start signs with the same key', async () => {
    await using installation = await Installation.make();
    const { jwt, kid } = await (await installation.open()).sign('at+jwt', {});
    const again = await installation.open({ installationIsNew: false });
    expect((await again.sign('at+jwt', {})).kid).toBe(kid);
    expect(await again.verify(jwt)).toBeDefined();
    expect(installation.changes).toHaveLength(1);
  });

  test('only tokens of the asked-for type are accepted where one is asked for', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { jwt } = await ring.sign('JWT', { sub: 'user' });
    expect(await ring.verify(jwt, 'JWT')).toBeDefined();
    expect(await ring.verify(jwt, 'at+jwt')).toBeUndefined();
    expect(await ring.verify(jwt, 'jwt')).toBeUndefined();
  });

  test('tokens that are not ours are not accepted', async () => {
    await using installation = await Installation.make();
    await using other = await Installation.make();
    const ring = await installation.open();
    const { jwt, kid } = await ring.sign('at+jwt', { sub: 'user' });
    expect(
      await ring.verify((await (await other.open()).sign('at+jwt', { sub: 'user' })).jwt),
    ).toBeUndefined();

    const stranger = await makeKeyPair('ES256');
    const forged = new JwsSigner(kid, 'ES256', localSignature('ES256', stranger.privateKey));
    expect(await ring.verify(await forged.sign('at+jwt', { sub: 'user' }))).toBeUndefined();
    expect(await ring.verify(new UnsecuredJWT({ sub: 'user' }).encode())).toBeUndefined();
    expect(await ring.verify(`${jwt.slice(0, jwt.lastIndexOf('.'))}.`)).toBeUndefined();
    expect(await ring.verify('')).toBeUndefined();
  });

  test('a keyring that was closed signs no more', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    ring.close();
    await expect(ring.sign('at+jwt', {})).rejects.toMatchObject({ code: 'unavailable' });
    await ring.tick();
    await expect(ring.sign('at+jwt', {})).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('rotation', () => {
  test('a key signs only once it has been published as long as verifiers may cache', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const first = (await ring.sign('at+jwt', {})).kid;
    const started = installation.clock.now();
    const { kid, activates_at } = await ring.rotate();
    expect(activates_at - started).toBeGreaterThanOrEqual(TIMING.jwksMaxAge + TIMING.clockSkew);
    expect(kids(ring)).toEqual([first, kid]);

    installation.clock.moveTo(activates_at - 1);
    await ring.tick();
    expect((await ring.sign('at+jwt', {})).kid).toBe(first);

    installation.clock.moveTo(activates_at);
    await ring.tick();
    expect((await ring.sign('at+jwt', {})).kid).toBe(kid);
    expect(kids(ring)).toEqual([kid, first]);
    expect(installation.changes.map(({ action }) => action)).toEqual([
      'key.created',
      'key.published',
      'key.activated',
    ]);
  });

  test('the former key verifies until its last token has run out, and not after', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const first = (await ring.sign('at+jwt', {})).kid;
    const { activates_at } = await ring.rotate();
    installation.clock.moveTo(activates_at);
    const { jwt } = await ring.sign('at+jwt', {});
    await ring.tick();
    const retiresAt = ring.state().keys.find((key) => key.kid === first)?.retires_at ?? 0;
    expect(retiresAt - activates_at).toBeGreaterThanOrEqual(TIMING.longestLifetime + TIMING.clockSkew);

    installation.clock.moveTo(retiresAt - 1);
    expect(await ring.verify(jwt)).toBeDefined();
    expect(kids(ring)).toContain(first);
    // Whether or not somebody has recorded it yet.
    installation.clock.moveTo(retiresAt);
    expect(await ring.verify(jwt)).toBeUndefined();
    expect(kids(ring)).not.toContain(first);
    expect(stateOf(ring, first)).toBe('retiring');
    await ring.tick();
    expect(stateOf(ring, first)).toBe('retired');
    expect(await ring.verify(jwt)).toBeUndefined();
    expect(installation.changes.at(-1)).toEqual({ action: 'key.retired', kid: first });
  });

  test('a client with longer tokens keeps the former key longer', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    installation.store.longestLifetime = 86_400_000;
    await rotateFully(installation, ring);
    const former = ring.state().keys.find((key) => key.state === 'retiring');
    expect((former?.retires_at ?? 0) - installation.clock.now()).toBeGreaterThanOrEqual(86_400_000);
  });

  test('asking again while a key waits answers with that key', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { started, ...first } = await ring.rotate();
    expect(started).toBe(true);
    installation.clock.advance(60_000);
    expect(await ring.rotate()).toEqual({ ...first, started: false });
    expect(await (await installation.keyfile()).list()).toHaveLength(2);
  });

  test('who asks about the past is told what a retired key signed', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { jwt, kid } = await ring.sign('JWT', { sub: 'user' });
    await rotateFully(installation, ring);
    installation.clock.moveTo(ring.state().keys.find((key) => key.kid === kid)?.retires_at ?? 0);
    for (const state of ['retiring', 'retired']) {
      expect(stateOf(ring, kid)).toBe(state);
      expect(await ring.verify(jwt, 'JWT')).toBeUndefined();
      expect(await ring.verify(jwt, 'JWT', { past: true })).toEqual({ sub: 'user' });
      expect(await ring.verify(jwt, 'at+jwt', { past: true })).toBeUndefined();
      await ring.tick();
    }
  });

  test('a compromised key is dropped by the next reading', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { jwt, kid } = await ring.sign('at+jwt', {});
    await rotateFully(installation, ring);
    expect(await ring.verify(jwt)).toBeDefined();
    Object.assign(installation.store.rows.get(kid)!, { state: 'compromised' });
    await ring.reload();
    expect(await ring.verify(jwt)).toBeUndefined();
    expect(await ring.verify(jwt, 'at+jwt', { past: true })).toBeUndefined();
    expect(kids(ring)).not.toContain(kid);
  });

  test('a new algorithm in the settings comes with the next rotation', async () => {
    await using installation = await Installation.make();
    const { jwt } = await (await installation.open()).sign('at+jwt', {});
    const ring = await installation.open({ algorithm: 'EdDSA' });
    expect(ring.algorithm).toBe('ES256');
    expect(installation.log.lines).toMatchObject([
      { level: 'warn', fields: { active: 'ES256', configured: 'EdDSA' } },
    ]);
    await rotateFully(installation, ring);
    expect(ring.algorithm).toBe('EdDSA');
    const { jwt: next } = await ring.sign('at+jwt', {});
    expect(decodeProtectedHeader(next).alg).toBe('EdDSA');
    expect(await ring.verify(next)).toBeDefined();
    expect(await ring.verify(jwt)).toBeDefined();
  });

  test('every time allows for a process that reads the keys as late as it may', async () => {
    await using installation = await Installation.make();
    const { clock } = installation;
    const [worker, laggard] = [await installation.open(), await installation.open()];
    const { kid, activates_at } = await worker.rotate();
    clock.advance(VIEW_LIFETIME);
    expect(kids(laggard)).not.toContain(kid);
    const lastCacheWithout = clock.now() + TIMING.jwksMaxAge;
    expect(activates_at).toBeGreaterThanOrEqual(lastCacheWithout + TIMING.clockSkew);

    clock.moveTo(activates_at);
    await laggard.reload();
    await worker.tick();
    clock.advance(VIEW_LIFETIME);
    const { jwt, kid: former } = await laggard.sign('at+jwt', {});
    expect(former).not.toBe(kid);
    clock.advance(TIMING.longestLifetime + TIMING.clockSkew - 1000);
    await worker.tick();
    expect(await worker.verify(jwt)).toBeDefined();
  });

  test('a process that slept through a rotation signs with the new key', async () => {
    await using installation = await Installation.make();
    const [sleeper, worker] = [await installation.open(), await installation.open()];
    const kid = await rotateFully(installation, worker);
    expect((await sleeper.sign('at+jwt', {})).kid).toBe(kid);
  });

  test('a process whose clock was set back meanwhile signs with the new key too', async () => {
    await using installation = await Installation.make();
    const [sleeper, worker] = [await installation.open(), await installation.open()];
    const kid = await rotateFully(installation, worker);
    installation.clock.advance(-3_600_000);
    expect((await sleeper.sign('at+jwt', {})).kid).toBe(kid);
  });

  test('a process that slept while a key was dropped does not accept what it signed', async () => {
    await using installation = await Installation.make();
    const [sleeper, worker] = [await installation.open(), await installation.open()];
    const { jwt, kid } = await sleeper.sign('at+jwt', {});
    await worker.management.compromise(kid);
    installation.clock.advance(VIEW_LIFETIME + 1);
    expect(await sleeper.verify(jwt)).toBeUndefined();
  });

  test('verifiers that cache as long as they may accept every token of two processes, over many rotations', async () => {
    await using installation = await Installation.make();
    const { clock } = installation;
    const rings = [await installation.open(), await installation.open()];
    const verifiers = rings.map((ring, index) => ({
      ring,
      until: 0,
      offset: index * 97_000,
      keySet: keySetOf(ring),
    }));
    let live: { jwt: string; expires: number }[] = [];
    const signers = new Set<string>();
    let rejected = 0;
    for (let step = 0; step < 500; step++) {
      clock.advance(10_000);
      // The processes read the keys at different moments, each as late as it may.
      await rings[step % 2]!.tick();
      if (step % 50 === 0) await rings[step % 4 === 0 ? 0 : 1]!.rotate();
      const expires = clock.now() + TIMING.longestLifetime;
      for (const ring of rings) {
        const { jwt, kid } = await ring.sign('at+jwt', { step });
        signers.add(kid);
        live.push({ jwt, expires });
      }
      for (const verifier of verifiers) {
        if (clock.now() >= verifier.until) {
          verifier.keySet = keySetOf(verifier.ring);
          verifier.until = clock.now() + TIMING.jwksMaxAge - verifier.offset;
        }
        const youngest = live.slice(-2);
        const dying = live.filter((token) => token.expires - clock.now() <= 10_000);
        for (const { jwt } of [...youngest, ...dying]) {
          await compactVerify(jwt, verifier.keySet).catch(() => rejected++);
          if ((await verifier.ring.verify(jwt)) === undefined) rejected++;
        }
      }
      live = live.filter((token) => token.expires - clock.now() > 10_000);
    }
    expect(rejected).toBe(0);
    expect(signers.size).toBeGreaterThanOrEqual(9);
    expect(rings[0]!.state().keys.some((key) => key.state === 'retired')).toBe(true);
  });
});

function keySetOf(ring: Keyring) {
  return createLocalJWKSet(structuredClone(ring.jwks()) as JSONWebKeySet);
}

describe('trouble while running', () => {
  test('a database that goes away is logged once; signing ends when the keys may have changed, and comes back', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { jwt } = await ring.sign('at+jwt', {});
    installation.store.outage = new Failure('unavailable', 'The database does not answer.');
    installation.clock.advance(VIEW_LIFETIME);
    await ring.tick();
    await ring.tick();
    expect(installation.log.lines).toMatchObject([
      { level: 'error', message: 'The database does not answer.' },
    ]);
    await ring.sign('at+jwt', {});

    installation.clock.advance(1);
    await expect(ring.sign('at+jwt', {})).rejects.toMatchObject({ code: 'unavailable' });
    expect(await ring.verify(jwt)).toBeDefined();
    installation.store.outage = undefined;
    await ring.sign('at+jwt', {});
  });

  test('a waiting key whose store does not answer holds up neither signing nor what is known of other keys', async () => {
    await using installation = await Installation.make();
    const former = await installation.open();
    const { jwt, kid } = await former.sign('at+jwt', {});
    const next = await rotateFully(installation, former);
    const { kid: waiting } = await former.rotate();

    const keyStore = pemKeyStore(await installation.keyfile());
    let answers = true;
    const signer: typeof keyStore.signer = (record) =>
      record.kid === waiting && !answers ? new Promise(() => undefined) : keyStore.signer(record);
    installation.store.rows.get(waiting)!.state = 'retired';
    const ring = await installation.open({ keyStores: onlyStore({ ...keyStore, signer }) });
    installation.store.rows.get(waiting)!.state = 'pending';
    answers = false;

    await former.management.compromise(kid);
    void ring.tick();
    await vi.waitFor(async () => expect(await ring.verify(jwt)).toBeUndefined());
    expect((await ring.sign('at+jwt', {})).kid).toBe(next);
    expect(ring.state().problems).toEqual([]);
  });

  test('a key that another machine activates, but whose private half is not here, is named and never replaced', async () => {
    await using installation = await Installation.make();
    await using elsewhere = await Installation.on(installation.store);
    const here = await installation.open();
    const first = (await here.sign('at+jwt', {})).kid;
    const keyfile = await installation.keyfile();
    await (await elsewhere.keyfile()).save(first, (await keyfile.load(first))!);

    const there = await elsewhere.open({ installationIsNew: false });
    const { kid, activates_at } = await there.rotate();
    await here.tick();
    await here.tick();
    expect(installation.log.lines).toHaveLength(1);
    expect(installation.log.lines[0]?.message).toContain(keyfile.locate(kid));
    expect((await here.sign('at+jwt', {})).kid).toBe(first);

    installation.clock.moveTo(activates_at);
    await here.tick();
    expect(stateOf(here, kid)).toBe('pending');
    elsewhere.clock.moveTo(activates_at);
    await there.tick();
    await here.tick();
    await expect(here.sign('at+jwt', {})).rejects.toMatchObject({
      code: 'configuration',
      message: expect.stringContaining(kid),
    });
    expect(here.state()).toMatchObject({ signing: null, problems: [{ code: 'configuration' }] });
    expect(await here.verify((await there.sign('at+jwt', {})).jwt)).toBeDefined();

    await keyfile.save(kid, (await (await elsewhere.keyfile()).load(kid))!);
    await here.tick();
    expect((await here.sign('at+jwt', {})).kid).toBe(kid);
    expect(here.state().problems).toEqual([]);
  });

  test('a rotation that dies before the database knows leaves a file that is named and never signs', async () => {
    await using installation = await Installation.make();
    const ring = await installation.open();
    const { kid } = await ring.sign('at+jwt', {});
    const { store } = installation;
    const addPending = store.addPending.bind(store);
    store.addPending = () => Promise.reject(new Error('power cut'));
    await expect(ring.rotate()).rejects.toThrow('power cut');
    store.addPending = addPending;

    const next = await installation.open();
    const orphan = (await (await installation.keyfile()).list()).find((name) => name !== kid);
    expect(installation.log.lines).toMatchObject([{ level: 'warn', fields: { kid: orphan } }]);
    const rotated = await rotateFully(installation, next);
    expect(rotated).not.toBe(orphan);
    expect((await next.sign('at+jwt', {})).kid).toBe(rotated);
  });
});
