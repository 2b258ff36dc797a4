/** What the store promises about rows that have run out: they go in small steps, and nothing goes that still protects. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClientRecord } from '../records.ts';
import type { PurgeableRows, PurgePlace, PurgeStep } from '../store.ts';
import type { Harness, OpenedStore } from './harness.ts';
import { DAY, HOUR, issuanceRow, MINUTE, NOW, newId, requestRow } from './rows.ts';
import { type Granted, World } from './world.ts';

const MONTH = 30 * DAY;

export function describePurging({ open }: Harness): void {
  describe('purging', () => {
    let opened: OpenedStore;
    const world = () => new World(opened.store);
    describe('by expiry', () => {
      beforeAll(async () => {
        opened = await open();
      });
      afterAll(() => opened.dispose());
      // Each test counts what goes: the one before it leaves nothing that could.
      afterEach(() => purgeAll(world()));
      describeProtection(world);
      describeClients(world);
      describeSteps(world);
    });
    describe('along the audit chain', () => {
      beforeEach(async () => {
        opened = await open();
      });
      afterEach(() => opened.dispose());
      describeAuditEvents(world);
    });
  });
}

/** Walks through one kind of rows as if it were `now`; the steps it took. */
async function walk(
  { store }: World,
  rows: PurgeableRows,
  now: number,
  { look = 3, until = now }: { look?: number; until?: number } = {},
): Promise<readonly PurgeStep[]> {
  const steps: PurgeStep[] = [];
  let place: PurgePlace | null = null;
  do {
    const step = await store.purge[rows]({ place, look, until, ended: now });
    steps.push(step);
    place = step.next;
  } while (place !== null);
  return steps;
}

/** Takes everything that will ever run out, families after their tokens. */
async function purgeAll(world: World): Promise<void> {
  const kinds = Object.keys(world.store.purge) as PurgeableRows[];
  for (const rows of kinds.filter((one) => one !== 'audit_events')) {
    await walk(world, rows, NOW + 100 * MONTH, { look: 1000 });
  }
}

const goneOf = (steps: readonly PurgeStep[]) => steps.reduce((sum, { gone }) => sum + gone, 0);

/** How many rows go, after a look that takes nothing away has said the same. */
async function purged(world: World, rows: PurgeableRows, now: number, until = now): Promise<number> {
  let place: PurgePlace | null = null;
  let ripe = 0;
  do {
    const seen = await world.store.purgeable[rows]({ place, look: 2, until, ended: now });
    expect(seen.ripe).toBeLessThanOrEqual(seen.looked);
    expect(seen.oldest === null).toBe(seen.ripe === 0);
    ripe += seen.ripe;
    place = seen.next;
  } while (place !== null);
  const gone = goneOf(await walk(world, rows, now, { until }));
  expect(gone).toBe(ripe);
  return gone;
}

function describeProtection(the: () => World): void {
  const revoke = ({ family: { id } }: Granted) =>
    the().store.families.revoke({ id, now: NOW, reason: 'for the test' });

  it('keeps a spent refresh token while its family lives, so that reuse is still found', async () => {
    const granted = await the().granted();
    expect(await the().rotate(granted)).toEqual({ outcome: 'rotated' });
    const later = NOW + 8 * DAY;
    expect(await purged(the(), 'refresh_tokens', later)).toBe(0);
    expect(await the().rotate(granted, { now: later })).toEqual({ outcome: 'reused' });
    expect(await purged(the(), 'refresh_tokens', NOW + 7 * DAY - 1)).toBe(0);
    expect(await purged(the(), 'refresh_tokens', later)).toBe(2);
  });

  it('takes refresh tokens when their family has ended', async () => {
    await the().granted();
    expect(await purged(the(), 'refresh_tokens', NOW + MONTH - 1)).toBe(0);
    expect(await purged(the(), 'refresh_tokens', NOW + MONTH)).toBe(1);
  });

  it('keeps a redeemed code while its family lives, so that a replay ends it', async () => {
    const { code, family, ...parties } = await the().granted();
    await the().code(parties);
    expect(await purged(the(), 'auth_codes', NOW + MINUTE - 1)).toBe(0);
    expect(await purged(the(), 'auth_codes', NOW + HOUR)).toBe(1);
    const replay = { code_hash: code.code_hash, now: NOW + HOUR, family, tokens: parties };
    expect(
      await the().store.codes.redeem({
        ...replay,
        tokens: { issuance: parties.issuance, refresh: parties.token },
      }),
    ).toEqual({ outcome: 'replayed' });
    expect((await the().store.families.find({ id: family.id }))?.revoked_reason).toBe('code_replayed');
    expect(await purged(the(), 'auth_codes', NOW + HOUR)).toBe(1);
  });

  it('keeps a redeemed code until its family has ended, and not beyond', async () => {
    await the().granted();
    expect(await purged(the(), 'auth_codes', NOW + MONTH - 1)).toBe(0);
    expect(await purged(the(), 'auth_codes', NOW + MONTH)).toBe(1);
  });

  it('keeps a family, revoked or not, to its own end and while it has refresh tokens', async () => {
    const [, other] = [await the().granted(), await the().granted()];
    await revoke(other);
    expect(await purged(the(), 'token_families', NOW + MONTH)).toBe(0);
    await walk(the(), 'refresh_tokens', NOW + 8 * DAY);
    expect(await purged(the(), 'token_families', NOW + MONTH - 1)).toBe(0);
    expect(await the().store.families.find({ id: other.family.id })).toBeDefined();
    expect(await purged(the(), 'token_families', NOW + MONTH)).toBe(1);
    await walk(the(), 'refresh_tokens', NOW + MONTH);
    expect(await purged(the(), 'token_families', NOW + MONTH)).toBe(1);
  });

  it('keeps a session that ran out while a family of it lives: who signs in next there ends that', async () => {
    const granted = await the().granted();
    await the().session(granted.user);
    const later = NOW + 2 * HOUR;
    expect(await purged(the(), 'sessions', NOW + HOUR - 1)).toBe(0);
    expect(await purged(the(), 'sessions', later)).toBe(1);
    const next = await the().user();
    const session = { ...granted.session, id: newId('ses'), token_hash: newId('cookie'), user_id: next.id };
    const replaces = granted.session.token_hash;
    await the().store.sessions.start({ session, password_hash: null, replaces });
    expect((await the().store.families.find({ id: granted.family.id }))?.revoked_reason).toBe(
      'session_replaced',
    );
    expect(await purged(the(), 'sessions', later)).toBe(2);
  });

  it('keeps such a session until its families have ended, and not beyond', async () => {
    await the().granted();
    expect(await purged(the(), 'sessions', NOW + MONTH - 1)).toBe(0);
    expect(await purged(the(), 'sessions', NOW + MONTH)).toBe(1);
  });

  it('keeps the row of an access token, revoked or not, until it expires; users and machines apart', async () => {
    const { issuance } = await the().granted();
    const own = issuanceRow();
    await the().store.issuances.record({ issuance: own });
    await the().store.issuances.revoke({ jti: own.jti, now: NOW });
    for (const rows of ['issuances_of_users', 'issuances_of_machines'] as const) {
      expect(await purged(the(), rows, issuance.expires_at - 1)).toBe(0);
    }
    expect(await purged(the(), 'issuances_of_users', issuance.expires_at)).toBe(1);
    await the().granted();
    expect(await purged(the(), 'issuances_of_machines', issuance.expires_at)).toBe(1);
    expect(await purged(the(), 'issuances_of_users', issuance.expires_at)).toBe(1);
  });

  it('keeps a lock that outlasts the count it came from', async () => {
    const { loginFailures } = the().store;
    const ids = [{ id: newId('lock'), limit: 1 }];
    await loginFailures.count({ ids, now: NOW, window: HOUR, lockout: DAY });
    // The setting was lowered since.
    await loginFailures.count({
      ids: [{ id: ids[0]?.id ?? '', limit: 9 }],
      now: NOW,
      window: 1,
      lockout: 1,
    });
    expect(await purged(the(), 'login_failures', NOW + HOUR)).toBe(0);
    expect(await loginFailures.lockedUntil({ ids: ids.map(({ id }) => id), now: NOW + HOUR })).toBe(
      NOW + DAY,
    );
    expect(await purged(the(), 'login_failures', NOW + DAY)).toBe(1);
  });
}

function describeClients(the: () => World): void {
  const registered = (given: Partial<ClientRecord> = {}) => the().client({ source: 'dynamic', ...given });
  const purgeClients = () => purged(the(), 'abandoned_clients', NOW + HOUR, NOW);

  it('takes clients that registered themselves and that nobody uses, with their secrets', async () => {
    const clients = [await registered(), await registered(), await registered(), await registered()];
    expect(await purgeClients()).toBe(4);
    for (const { id } of clients) expect(await the().store.clients.find({ id })).toBeUndefined();
  });

  it.each<[string, Partial<ClientRecord>]>([
    ['made by an administrator', { source: 'admin' }],
    ['touched since', { updated_at: NOW + 1 }],
    ['that may have tokens of its own', { grant_types_json: '["client_credentials"]' }],
    ['that introspects tokens of others', { audiences_json: '["https://api.example.test"]' }],
    ['that an administrator lets skip consent', { skip_consent: 1 }],
    ['that is disabled', { status: 'disabled' }],
  ])('keeps a client %s', async (_, given) => {
    await registered(given);
    expect(await purgeClients()).toBe(0);
  });

  it('keeps a client on which something hangs', async () => {
    const { store } = the();
    const parties = await the().parties();
    const [consented, coded, granted, asked] = [
      await registered(),
      await registered(),
      await registered(),
      await registered(),
    ];
    const consent = { user_id: parties.user.id, client_id: consented.id, resource: '', scope: 'openid' };
    await store.consents.save({ consents: [{ ...consent, granted_at: NOW, updated_at: NOW }] });
    await the().code({ ...parties, client: coded });
    await the().granted('openid', { ...parties, client: granted });
    expect(await purged(the(), 'auth_codes', NOW + MONTH)).toBe(2);
    await the().code({ ...parties, client: coded });
    await store.requests.save({ request: requestRow(asked.id) });
    expect(await purgeClients()).toBe(0);
  });
}

function describeAuditEvents(the: () => World): void {
  const append = (at: number) =>
    the().store.audit.append({
      event: {
        ...{ at, action: 'key.created', actor: 'system', detail_json: '{}' },
        ...{ client_id: null, user_id: null, ip: null },
      },
    });
  const kept = async () => (await the().store.audit.list({ after: 0, limit: 100 })).map((e) => e.sequence);

  it('takes old audit events from the beginning of the chain, and keeps where it begins now', async () => {
    for (let n = 0; n < 8; n++) await append(NOW + n);
    expect(await the().store.audit.beginning({})).toEqual({ sequence: 0, hash: '' });
    const events = await the().store.audit.list({ after: 0, limit: 100 });
    expect(await purged(the(), 'audit_events', NOW + 4)).toBe(5);
    expect(await kept()).toEqual([6, 7, 8]);
    const { sequence, hash } = events[4] ?? {};
    expect(await the().store.audit.beginning({})).toEqual({ sequence, hash });
    expect(events[5]?.previous_hash).toBe(hash);
    expect(await append(NOW + 9)).toEqual({ sequence: 9 });
    expect(await purged(the(), 'audit_events', NOW + 9)).toBe(4);
    expect(await append(NOW + 10)).toEqual({ sequence: 10 });
    const [last] = await the().store.audit.list({ after: 0, limit: 1 });
    expect(last?.previous_hash).toBe((await the().store.audit.beginning({})).hash);
  });

  it('keeps an old event behind a younger one: the chain has no holes', async () => {
    for (const at of [NOW, NOW + DAY, NOW]) await append(at);
    expect(await purged(the(), 'audit_events', NOW)).toBe(1);
    expect(await kept()).toEqual([2, 3]);
  });

  it('loses no event and no beginning when two purge at once while others append', async () => {
    for (let n = 0; n < 40; n++) await append(NOW);
    const walks = await Promise.all([
      ...[1, 2, 3].map(async () => goneOf(await walk(the(), 'audit_events', NOW))),
      append(NOW + 1).then(() => 0),
      append(NOW + 1).then(() => 0),
    ]);
    expect(walks.reduce((sum, gone) => sum + gone, 0)).toBe(40);
    expect(await kept()).toEqual([41, 42]);
    expect(await the().store.audit.beginning({})).toMatchObject({ sequence: 40 });
  });
}

function describeSteps(the: () => World): void {
  const record = (count: number, expires_at: (n: number) => number) =>
    Promise.all(
      Array.from({ length: count }, (_, n) =>
        the().store.issuances.record({ issuance: issuanceRow({ expires_at: expires_at(n) }) }),
      ),
    );

  it('takes no more rows in a step than it may look at, and all of them in the end', async () => {
    await record(25, (n) => NOW + Math.floor(n / 2));
    await record(5, () => NOW + DAY);
    const steps = await walk(the(), 'issuances_of_machines', NOW + HOUR, { look: 4 });
    expect(goneOf(steps)).toBe(25);
    for (const { gone } of steps) expect(gone).toBeLessThanOrEqual(4);
    expect(steps.length).toBeLessThan(15);
    expect(goneOf(await walk(the(), 'issuances_of_machines', NOW + DAY))).toBe(5);
  });

  it('does so where all of them end at the same moment', async () => {
    await record(50, () => NOW);
    const steps = await walk(the(), 'issuances_of_machines', NOW, { look: 4 });
    expect(goneOf(steps)).toBe(50);
    for (const { gone } of steps) expect(gone).toBeLessThanOrEqual(4);
    expect(steps.length).toBeLessThan(20);
  });

  it('passes rows that stay, also where many end at the same moment', async () => {
    const granted: Granted[] = [];
    const parties = await the().parties();
    for (let n = 0; n < 16; n++) granted.push(await the().granted('openid', parties));
    for (const [n, { family }] of granted.entries()) {
      if (n % 2) await the().store.families.revoke({ id: family.id, now: NOW, reason: 'for the test' });
    }
    const steps = await walk(the(), 'refresh_tokens', NOW + 7 * DAY, { look: 3 });
    expect(steps.length).toBeLessThan(12);
    // PostgreSQL sorts a table as small as this anew for each step, so that one may be passed over.
    expect(goneOf(steps)).toBeGreaterThan(4);
    const rest = await walk(the(), 'refresh_tokens', NOW + 7 * DAY, { look: 100 });
    expect(goneOf(steps) + goneOf(rest)).toBe(8);
    for (const [n, { token }] of granted.entries()) {
      const found = await the().store.refresh.find({ token_hash: token.token_hash });
      expect(found === undefined).toBe(n % 2 === 1);
    }
  });

  it('is done once, however many walk at the same time', async () => {
    await record(200, (n) => NOW + (n % 7));
    const walks = await Promise.all(
      [1, 2, 3, 4].map(() => walk(the(), 'issuances_of_machines', NOW + DAY, { look: 10 })),
    );
    const gone = walks.map(goneOf).reduce((sum, one) => sum + one, 0);
    // On PostgreSQL each leaves to another what that one has in hand.
    expect(gone + goneOf(await walk(the(), 'issuances_of_machines', NOW + DAY))).toBe(200);
  });
}
