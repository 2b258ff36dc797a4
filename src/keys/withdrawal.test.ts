import { describe, expect, test } from 'vitest';
import { Installation, TIMING } from './keyring.test-kit.ts';
import type { Keyring } from './keyring.ts';
import { retirementMargin } from './lifecycle.ts';

const stateOf = (ring: Keyring, kid: string) => ring.state().keys.find((key) => key.kid === kid)?.state;
const kids = (ring: Keyring) => ring.jwks().keys.map((key) => key.kid);

/** A server in use, the key that signs, and a token of it. */
async function inUse(installation: Installation) {
  const ring = await installation.open();
  const { jwt, kid } = await ring.sign('at+jwt', {});
  return { ring, jwt, kid };
}

/** The token's row, as issuing leaves it. */
function issue(installation: Installation, kid: string, lifetime: number): void {
  const expires_at = installation.clock.now() + lifetime;
  installation.store.issuances.push({ kid, expires_at, revoked: false });
}

async function rotateFully(installation: Installation, ring: Keyring): Promise<string> {
  const { kid, activates_at } = await ring.rotate();
  installation.clock.moveTo(activates_at);
  await ring.tick();
  return kid;
}

describe('a compromised key', () => {
  test('that signs is dropped with what it signed, and a new one signs at once', async () => {
    await using installation = await Installation.make();
    const { ring, jwt, kid } = await inUse(installation);
    for (const lifetime of [1000, 2000]) issue(installation, kid, lifetime);
    issue(installation, 'another key', 1000);
    const now = installation.clock.now();
    const report = await ring.management.compromise(kid);
    expect(report).toEqual({
      kid,
      former_state: 'active',
      successor: { kid: report.successor?.kid, published_for: 0 },
      revoked: 2,
      access_tokens_until: now + 2000,
      id_tokens_until: now + TIMING.idTokenLifetime + retirementMargin(TIMING),
      jwks_max_age: TIMING.jwksMaxAge,
      private_half: 'removed',
    });
    const successor = report.successor?.kid ?? '';
    expect(kids(ring)).toEqual([successor]);
    expect((await ring.sign('at+jwt', {})).kid).toBe(successor);
    expect(await ring.verify(jwt)).toBeUndefined();
    expect(await ring.verify(jwt, 'at+jwt', { past: true })).toBeUndefined();
    expect(await (await installation.keyfile()).list()).toEqual([successor]);
    expect(installation.store.issuances.map(({ revoked }) => revoked)).toEqual([true, true, false]);
    expect((await ring.management.verify()).ok).toBe(true);
  });

  test('gives way to the key that waits, which clients may know already', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    const waiting = (await ring.rotate()).kid;
    installation.clock.advance(60_000);
    const { successor } = await ring.management.compromise(kid);
    expect(successor).toEqual({ kid: waiting, published_for: 60_000 });
    expect(ring.state().signing).toBe(waiting);
    expect(kids(ring)).toEqual([waiting]);
  });

  test('that does not sign leaves the one that does alone', async () => {
    await using installation = await Installation.make();
    const { ring, jwt, kid } = await inUse(installation);
    const next = await rotateFully(installation, ring);
    expect(await ring.verify(jwt)).toBeDefined();
    const report = await ring.management.compromise(kid);
    expect(report).toMatchObject({ former_state: 'retiring', successor: null, private_half: 'removed' });
    expect(await ring.verify(jwt)).toBeUndefined();
    expect(ring.state().signing).toBe(next);
    const waiting = (await ring.rotate()).kid;
    expect(await ring.management.compromise(waiting)).toMatchObject({
      former_state: 'pending',
      revoked: 0,
      id_tokens_until: null,
    });
    expect(kids(ring)).toEqual([next]);
  });

  test('is dropped again without harm, and what a killed run left is done', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    issue(installation, kid, 1000);
    const store = installation.store;
    const { revokeSigned } = store;
    store.revokeSigned = () => Promise.reject(new Error('killed'));
    await expect(ring.management.compromise(kid)).rejects.toThrow('killed');
    store.revokeSigned = revokeSigned;
    expect(stateOf(ring, kid)).toBe('compromised');
    const again = await ring.management.compromise(kid);
    expect(again).toMatchObject({ former_state: 'compromised', successor: null, revoked: 1 });
    expect(again.private_half).toBe('removed');
    expect((await ring.management.compromise(kid)).revoked).toBe(0);
  });

  test('is replaced once when two servers drop it', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    const other = await installation.open();
    const reports = await Promise.all([ring.management.compromise(kid), other.management.compromise(kid)]);
    const successors = reports.flatMap(({ successor }) => successor?.kid ?? []);
    expect(successors).toHaveLength(1);
    expect(await (await installation.keyfile()).list()).toEqual(successors);
    expect([...installation.store.rows.values()].filter(({ state }) => state === 'active')).toHaveLength(1);
  });

  test('that nobody knows is not found', async () => {
    await using installation = await Installation.make();
    const { ring } = await inUse(installation);
    await expect(ring.management.compromise('nobody')).rejects.toMatchObject({ code: 'not_found' });
    await expect(ring.management.retire('nobody')).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('a key is retired early', () => {
  test('when its last token has run out, and not while one lives', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    await rotateFully(installation, ring);
    issue(installation, kid, 1_000_000);
    const failure = await ring.management.retire(kid).catch((error) => error);
    expect(failure).toMatchObject({ code: 'refused' });
    expect(failure.message).toContain('1 access token');
    expect(failure.message).toContain(new Date(installation.clock.now() + 1_000_000).toISOString());
    expect(failure.hint).toContain(`--compromised ${kid}`);

    installation.clock.advance(1_000_000);
    expect(await ring.management.retire(kid)).toEqual({ kid, former_state: 'retiring' });
    expect(stateOf(ring, kid)).toBe('retired');
    expect(kids(ring)).not.toContain(kid);
  });

  test('not while ID tokens may be out there, of which there is no record', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    await rotateFully(installation, ring);
    installation.clock.advance(TIMING.idTokenLifetime);
    await expect(ring.management.retire(kid)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('ID tokens'),
    });
    installation.clock.advance(retirementMargin(TIMING));
    expect(await ring.management.retire(kid)).toMatchObject({ former_state: 'retiring' });
  });

  test('when it waits: it is withdrawn, its private half goes, and another may wait', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    const waiting = (await ring.rotate()).kid;
    expect(await ring.management.retire(waiting)).toEqual({ kid: waiting, former_state: 'pending' });
    expect(await (await installation.keyfile()).list()).toEqual([kid]);
    expect(kids(ring)).toEqual([kid]);
    expect(await ring.rotate()).toMatchObject({ started: true });
    expect(await ring.management.retire(waiting)).toMatchObject({ former_state: 'retired' });
  });

  test('never when it signs, or has been dropped', async () => {
    await using installation = await Installation.make();
    const { ring, kid } = await inUse(installation);
    await expect(ring.management.retire(kid)).rejects.toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('authserver keys rotate'),
    });
    await ring.management.compromise(kid);
    await expect(ring.management.retire(kid)).rejects.toMatchObject({ code: 'refused' });
  });
});

describe('the private half of a key that has retired', () => {
  test('is removed when no server can sign with it any more; the public half is kept', async () => {
    await using installation = await Installation.make();
    const { ring, jwt, kid } = await inUse(installation);
    const next = await rotateFully(installation, ring);
    const keyfile = await installation.keyfile();
    installation.clock.moveTo(ring.state().keys.find((key) => key.kid === kid)?.retires_at ?? 0);
    await ring.tick();
    expect(stateOf(ring, kid)).toBe('retired');
    expect(await keyfile.list()).toContain(kid);
    installation.clock.advance(retirementMargin(TIMING));
    await ring.tick();
    expect(await keyfile.list()).toEqual([next]);
    expect(await ring.verify(jwt, 'at+jwt', { past: true })).toBeDefined();
  });
});
