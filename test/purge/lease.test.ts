// A chore under a lease: one does it, the others learn who; who has lost it is told to stop.

import { afterEach, expect, test, vi } from 'vitest';
import { makeIds } from '../../src/kernel/ids.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { LEASE_TERM, underLease } from '../../src/ops/lease.ts';
import { describeEngines } from '../setup/engines.ts';
import { type Stage, stage } from './fixture.ts';

afterEach(() => {
  vi.useRealTimers();
});

const partsOf = ({ store, clock }: Stage, runner?: string) => ({
  leases: store.leases,
  clock,
  ids: makeIds(clock, systemRandom),
  ...(runner !== undefined && { runner }),
});

describeEngines('a chore under a lease', (engine) => {
  test('is done by one; who asks meanwhile learns by whom, and may do it afterwards', async () => {
    await using on = await stage(engine);
    const inner = vi.fn(async () => 'second');
    const first = await underLease(partsOf(on, 'here, process 1'), 'chore', async () => {
      expect(await underLease(partsOf(on), 'chore', inner)).toMatchObject({
        outcome: 'held',
        by: { holder: expect.stringMatching(/^here, process 1, run_/), acquired_at: on.clock.now() },
      });
      expect(await underLease(partsOf(on), 'another chore', async () => 'beside')).toMatchObject({
        value: 'beside',
      });
      return 'first';
    });
    expect(first).toEqual({ outcome: 'done', value: 'first' });
    expect(inner).not.toHaveBeenCalled();
    expect(await underLease(partsOf(on), 'chore', inner)).toEqual({ outcome: 'done', value: 'second' });
  });

  test('lets go when it fails', async () => {
    await using on = await stage(engine);
    const failing = underLease(partsOf(on), 'chore', () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await on.store.leases.find({ name: 'chore' })).toBeUndefined();
  });

  test('passes on when its holder has died', async () => {
    await using on = await stage(engine);
    const lease = { name: 'chore', holder: 'dead', acquired_at: 0, held_until: on.clock.now() + LEASE_TERM };
    await on.store.leases.acquire({ lease });
    const work = async () => 'mine';
    expect((await underLease(partsOf(on), 'chore', work)).outcome).toBe('held');
    on.clock.time += LEASE_TERM;
    expect((await underLease(partsOf(on), 'chore', work)).outcome).toBe('done');
  });

  test('beats while it works, and is told when another has taken over', async () => {
    await using on = await stage(engine);
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const done = underLease(partsOf(on), 'chore', async (lost) => {
      on.clock.time += LEASE_TERM - 1;
      await vi.advanceTimersByTimeAsync(LEASE_TERM / 4);
      const renewed = on.clock.now() + LEASE_TERM;
      await vi.waitFor(async () =>
        expect((await on.store.leases.find({ name: 'chore' }))?.held_until).toBe(renewed),
      );
      expect(lost.aborted).toBe(false);
      // It slept, and somebody else took it.
      const lease = {
        name: 'chore',
        holder: 'other',
        acquired_at: renewed,
        held_until: renewed + LEASE_TERM,
      };
      expect(await on.store.leases.acquire({ lease })).toEqual({ outcome: 'acquired' });
      await vi.advanceTimersByTimeAsync(LEASE_TERM / 4);
      await vi.waitFor(() => expect(lost.aborted).toBe(true));
    });
    expect((await done).outcome).toBe('done');
    expect((await on.store.leases.find({ name: 'chore' }))?.holder).toBe('other');
  });
});
