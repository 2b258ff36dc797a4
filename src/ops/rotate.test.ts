import { afterEach, beforeEach, expect, test } from 'vitest';
import { Rig, TIMING } from '../../test/keys/rig.ts';
import { describeEngines } from '../../test/setup/engines.ts';
import { AuditTrail } from '../audit/trail.ts';
import { makeIds } from '../kernel/ids.ts';
import { silentLog } from '../kernel/log.ts';
import { systemRandom } from '../kernel/random.ts';
import { MemoryLog } from '../keys/keyring.test-kit.ts';
import type { Keyring } from '../keys/keyring.ts';
import { activatesAt, retiresAt } from '../keys/lifecycle.ts';
import { planRotation, RotationSchedule } from './rotate.ts';

const DAY = 86_400_000;
const INTERVAL = 90 * DAY;

describeEngines('the schedule of rotations', (engine) => {
  let rig: Rig;
  let log: MemoryLog;
  beforeEach(async () => {
    rig = await Rig.make(engine);
    log = new MemoryLog();
  });
  afterEach(() => rig[Symbol.asyncDispose]());

  const open = (rotationInterval = INTERVAL) => rig.open({ timing: { rotationInterval } });
  const scheduleOf = (keyring: Keyring) => {
    const { store, clock } = rig;
    const audit = new AuditTrail({ store: store.audit, clock, log: silentLog });
    const ids = makeIds(clock, systemRandom);
    return new RotationSchedule({ keyring, leases: store.leases, audit, clock, ids, log });
  };
  const stateOf = (ring: Keyring) => ring.state().keys.map(({ state }) => state);

  test('replaces the key when it is old enough, and not before; again one interval later', async () => {
    const ring = await open();
    const schedule = scheduleOf(ring);
    rig.clock.advance(INTERVAL - 1);
    expect(await schedule.tick()).toBeUndefined();
    rig.clock.advance(1);
    const rotation = await schedule.tick();
    expect(rotation).toMatchObject({ started: true });
    expect(stateOf(ring)).toEqual(['active', 'pending']);
    // One waits: nothing more is due, however often it is asked.
    expect(await schedule.tick()).toBeUndefined();
    const events = await rig.store.audit.list({ after: 0, limit: 10 });
    expect(events).toMatchObject([{ action: 'key.rotation_asked', actor: 'system' }]);
    expect(JSON.parse(events[0]?.detail_json ?? '')).toMatchObject({ kid: rotation?.kid, why: 'interval' });

    rig.clock.moveTo(rotation?.activates_at ?? 0);
    await ring.tick();
    expect(await schedule.tick()).toBeUndefined();
    rig.clock.advance(INTERVAL);
    await ring.tick();
    expect(await schedule.tick()).toMatchObject({ started: true });
  });

  test('never does while it is switched off', async () => {
    const schedule = scheduleOf(await open(0));
    rig.clock.advance(10 * INTERVAL);
    expect(await schedule.tick()).toBeUndefined();
  });

  test('makes one key where several servers are due at the same moment', async () => {
    const rings = await Promise.all([open(), open(), open()]);
    rig.clock.advance(INTERVAL);
    const runs = await Promise.all(rings.map((ring) => scheduleOf(ring).tick()));
    expect(runs.filter((run) => run?.started)).toHaveLength(1);
    expect((await rig.store.keys.list({})).map(({ state }) => state).sort()).toEqual(['active', 'pending']);
    expect(await rig.store.audit.list({ after: 0, limit: 10 })).toHaveLength(1);
    expect(await rig.store.leases.find({ name: 'rotate' })).toBeUndefined();
  });

  test('tells of a rotation that fails once, and tries again later', async () => {
    const ring = await open();
    let tries = 0;
    const broken = Object.assign(Object.create(ring) as Keyring, {
      timing: ring.timing,
      state: () => ring.state(),
      reload: () => ring.reload(),
      rotate: () => {
        tries += 1;
        return Promise.reject(new Error('no room for a key'));
      },
    });
    const schedule = scheduleOf(broken);
    rig.clock.advance(INTERVAL);
    for (let tick = 0; tick < 5; tick++) await schedule.tick();
    expect(tries).toBe(1);
    expect(log.lines).toMatchObject([
      { level: 'error', message: expect.stringContaining('due for rotation') },
    ]);
    rig.clock.advance(600_000);
    await schedule.tick();
    expect(tries).toBe(2);
  });

  test('can be told beforehand', async () => {
    const ring = await open();
    const now = rig.clock.now();
    const { signing } = ring.state();
    const signs_from = activatesAt(now, TIMING);
    expect(planRotation(ring, now)).toEqual({
      signing,
      waiting: null,
      signs_from,
      former_verifies_until: retiresAt(signs_from, TIMING.longestLifetime, TIMING),
      scheduled_at: now + INTERVAL,
    });
    expect(await rig.store.keys.list({})).toHaveLength(1);
    const { kid, activates_at } = await ring.rotate();
    expect(planRotation(ring, now + 1000)).toMatchObject({
      waiting: kid,
      signs_from: activates_at,
      scheduled_at: null,
    });
  });
});
