/** What the store promises about the installation itself: identity, keys, audit, settings, health. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chainHash } from '../audit-chain.ts';
import type { AuditStore, Store } from '../store.ts';
import type { Harness, OpenedStore } from './harness.ts';
import { describeKeys } from './keys.ts';
import { clientRow, DAY, HOUR, issuanceRow, keyRow, NOW, newId, resourceRow } from './rows.ts';
import { describeSealedKeys } from './sealed-keys.ts';
import { atOnce, tally, type World } from './world.ts';

export function describeInstallation(world: () => World): void {
  const store = () => world().store;
  describe('deployment', () => {
    it('has an identity from the first migration on', async () => {
      const deployment = await store().deployment.get({});
      expect(deployment).toMatchObject({ id: expect.stringMatching(/^dep_[0-9a-z]{26}$/), restore_epoch: 0 });
      expect(await store().deployment.get({})).toEqual(deployment);
    });
  });
  describe('audit', () => describeAudit(store));
  describe('settings', () => describeSettings(store));
  describe('health', () => {
    it('answers while writes are possible', async () => {
      expect(await store().health.ping({})).toEqual({ ok: true });
    });
  });
}

/** Each test has a store of its own, for an installation has one first key and one active key. */
export function describeKeysOf(harness: Harness): void {
  describe('keys', () => {
    let opened: OpenedStore;
    beforeEach(async () => {
      opened = await harness.open();
    });
    afterEach(() => opened.dispose());
    describeKeys(() => opened.store.keys);
    describeKeyTimes(() => opened.store);
    describeSealedKeys(() => opened.store);
  });
}

/** What keys owe to tokens, clients and resources. */
function describeKeyTimes(store: () => Store): void {
  it('lets a key verify until its last token has run out, whatever the settings say by then', async () => {
    const [former, next] = [keyRow(), keyRow({ state: 'pending', created_at: NOW + 1 })];
    await store().keys.addFirst({ key: former });
    await store().keys.addPending({ key: next });
    for (const expires_at of [NOW + 2 * DAY, NOW + HOUR]) {
      await store().issuances.record({ issuance: issuanceRow({ kid: former.kid, expires_at }) });
    }
    await store().issuances.record({
      issuance: issuanceRow({ kid: newId('kid'), expires_at: NOW + 9 * DAY }),
    });
    await store().keys.activate({ kid: next.kid, now: NOW, retires_at: NOW + DAY, margin: 7 });
    expect((await store().keys.list({}))[0]).toMatchObject({
      kid: former.kid,
      retires_at: NOW + 2 * DAY + 7,
    });
  });

  it('counts and revokes what a key has signed and is in force, stretch by stretch', async () => {
    const { keys, issuances } = store();
    expect(await keys.hasSigned({})).toBe(false);
    const kid = newId('kid');
    // Three run out in the same millisecond, where a stretch of two ends.
    const times = [NOW, NOW + 1, NOW + 2, NOW + 2, NOW + 2, NOW + 3];
    const signed = times.map((expires_at) => issuanceRow({ kid, expires_at }));
    const others = times.map((expires_at) => issuanceRow({ expires_at }));
    for (const issuance of [...signed, ...others]) await issuances.record({ issuance });
    await issuances.revoke({ jti: signed[1]?.jti ?? '', now: NOW });
    expect(await keys.hasSigned({})).toBe(true);

    const walk = async (
      step: (after: number) => Promise<{ count: number; next: number | null }>,
    ): Promise<number[]> => {
      const counts: number[] = [];
      for (let after: number | null = NOW; after !== null; ) {
        const { count, next } = await step(after);
        counts.push(count);
        after = next;
      }
      return counts;
    };
    const count = (after: number) => keys.countSigned({ kid, after, limit: 2 });
    expect(await walk(count)).toEqual([3, 1]);
    expect(await keys.countSigned({ kid, after: NOW, limit: 100 })).toEqual({
      count: 4,
      last_expires_at: NOW + 3,
      next: null,
    });
    expect(await walk((after) => keys.revokeSigned({ kid, now: NOW, after, limit: 2 }))).toEqual([3, 1]);
    expect(await walk(count)).toEqual([0, 0]);
    expect((await keys.countSigned({ kid: 'key-1', after: NOW, limit: 100 })).count).toBe(5);
  });

  it('lets a key that is replaced at once verify until its last token has run out', async () => {
    const former = keyRow();
    await store().keys.addFirst({ key: former });
    await store().issuances.record({
      issuance: issuanceRow({ kid: former.kid, expires_at: NOW + 2 * DAY }),
    });
    await store().keys.takeOver({
      former: former.kid,
      becomes: 'retiring',
      successor: keyRow({ created_at: NOW + 1 }),
      now: NOW,
      retires_at: NOW + DAY,
      margin: 7,
    });
    expect((await store().keys.list({}))[0]).toMatchObject({ retires_at: NOW + 2 * DAY + 7 });
  });

  it('tells who watches of a change that others made, after it is on disk, and then no more', async () => {
    const { keys } = store();
    let heard = Promise.withResolvers<number>();
    const watching = store().watch('signing_keys', () => {
      void keys.list({}).then(({ length }) => heard.resolve(length));
    });
    // PostgreSQL calls once when it has begun to listen.
    await Promise.race([heard.promise, new Promise((resolve) => setTimeout(resolve, 200))]);
    heard = Promise.withResolvers();
    await keys.addFirst({ key: keyRow() });
    expect(await heard.promise).toBe(1);
    heard = Promise.withResolvers();
    watching[Symbol.dispose]();
    await keys.addPending({ key: keyRow({ state: 'pending' }) });
    expect(await Promise.race([heard.promise, new Promise((resolve) => setTimeout(resolve, 50))])).toBe(
      undefined,
    );
  });

  it('knows the longest lifetime that a client or a resource asks for', async () => {
    const { clients, resources, keys } = store();
    expect(await keys.longestTokenLifetime({})).toBe(0);
    await clients.create({ client: clientRow({ access_token_lifetime: HOUR }), secret: null });
    await clients.create({ client: clientRow(), secret: null });
    expect(await keys.longestTokenLifetime({})).toBe(HOUR);
    await resources.create({ resource: resourceRow({ access_token_lifetime: DAY }) });
    expect(await keys.longestTokenLifetime({})).toBe(DAY);
  });
}

function describeAudit(store: () => Store): void {
  const event = (n: number): Parameters<AuditStore['append']>[0]['event'] => ({
    at: NOW + n,
    action: 'user.signed_in',
    actor: `user:${n}`,
    client_id: n % 2 ? 'cli_1' : null,
    user_id: n % 3 ? 'usr_1' : null,
    ip: null,
    detail_json: `{"n":${n},"name":"Zoë 🦊"}`,
  });

  it('chains 50 events at once without a gap or a fork, the first one to nothing', async () => {
    const answers = await atOnce(50, (n) => store().audit.append({ event: event(n) }));
    const sequences = answers.map((answer) => answer.sequence).sort((a, b) => a - b);
    expect(sequences).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    let previous_hash = '';
    for (const kept of await store().audit.list({ after: 0, limit: 100 })) {
      const { hash, ...linked } = kept;
      expect(linked).toEqual({ ...event(kept.at - NOW), sequence: sequences.shift(), previous_hash });
      expect(hash).toBe(chainHash(linked));
      previous_hash = hash;
    }
    expect(sequences).toEqual([]);
  });

  it('lists in chain order, a page at a time', async () => {
    const { sequence: first } = await store().audit.append({ event: event(0) });
    for (let n = 1; n < 5; n++) await store().audit.append({ event: event(n) });
    const page = async (after: number) => {
      const events = await store().audit.list({ after: first + after, limit: 2 });
      return events.map((kept) => kept.sequence - first);
    };
    expect([await page(-1), await page(1), await page(3), await page(4)]).toEqual([[0, 1], [2, 3], [4], []]);
  });
}

function describeSettings(store: () => Store): void {
  it('sets a value, replaces it, and keeps what is there with `if_absent`', async () => {
    const { settings } = store();
    const name = newId('setting');
    expect(await settings.get({ name })).toBeUndefined();
    const put = (value: string, if_absent: boolean) =>
      settings.put({ setting: { name, value, updated_at: NOW }, if_absent });
    expect(await put('one', true)).toEqual({ outcome: 'put', value: 'one' });
    expect(await put('two', true)).toEqual({ outcome: 'kept', value: 'one' });
    expect(await put('three', false)).toEqual({ outcome: 'put', value: 'three' });
    expect(await settings.get({ name })).toEqual({ name, value: 'three', updated_at: NOW });
  });

  it('swaps a value for one of 20 at once, and for nobody who has read another', async () => {
    const { settings } = store();
    const name = newId('setting');
    const swap = (value: string, former: string) =>
      settings.swap({ setting: { name, value, updated_at: NOW }, former });
    expect(await swap('one', '')).toEqual({ outcome: 'changed' });
    await settings.put({ setting: { name, value: 'one', updated_at: NOW }, if_absent: true });
    const answers = await atOnce(20, (n) => swap(`word ${n}`, 'one'));
    expect(tally(answers)).toEqual({ swapped: 1, changed: 19 });
    const winner = answers.findIndex(({ outcome }) => outcome === 'swapped');
    expect((await settings.get({ name }))?.value).toBe(`word ${winner}`);
  });

  it('lets one of 20 at once put an absent value and tells all the same', async () => {
    const name = newId('setting');
    const answers = await atOnce(20, (n) =>
      store().settings.put({ setting: { name, value: `word ${n}`, updated_at: NOW }, if_absent: true }),
    );
    expect(tally(answers)).toEqual({ put: 1, kept: 19 });
    expect(new Set(answers.map((answer) => answer.value)).size).toBe(1);
  });
}
