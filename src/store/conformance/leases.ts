/** What the store promises about chores that one process at a time may do. */
import { describe, expect, it } from 'vitest';
import type { LeaseRecord } from '../records.ts';
import { MINUTE, NOW, newId } from './rows.ts';
import { atOnce, tally, type World } from './world.ts';

export function describeLeases(the: () => World): void {
  const leases = () => the().store.leases;
  const lease = (given: Partial<LeaseRecord> = {}): LeaseRecord => ({
    name: newId('chore'),
    holder: newId('run'),
    acquired_at: NOW,
    held_until: NOW + MINUTE,
    ...given,
  });

  describe('leases', () => {
    it('are had by one of many who ask at once, and the others are told by whom', async () => {
      const name = newId('chore');
      const asked = Array.from({ length: 20 }, () => lease({ name }));
      const answers = await atOnce(20, (n) => leases().acquire({ lease: asked[n] as LeaseRecord }));
      expect(tally(answers)).toEqual({ acquired: 1, held: 19 });
      const winner = asked[answers.findIndex(({ outcome }) => outcome === 'acquired')];
      for (const answer of answers) if (answer.outcome === 'held') expect(answer.by).toEqual(winner);
      expect(await leases().find({ name })).toEqual(winner);
    });

    it('pass on when they have run out, and not a moment earlier', async () => {
      const first = lease();
      await leases().acquire({ lease: first });
      const next = lease({ name: first.name, acquired_at: first.held_until - 1 });
      expect(await leases().acquire({ lease: next })).toEqual({ outcome: 'held', by: first });
      const late = { ...next, acquired_at: first.held_until, held_until: first.held_until + MINUTE };
      expect(await leases().acquire({ lease: late })).toEqual({ outcome: 'acquired' });
      expect(await leases().find({ name: first.name })).toEqual(late);
    });

    it('are moved on by who has them, and by nobody who has lost them', async () => {
      const first = lease();
      const { name, holder } = first;
      await leases().acquire({ lease: first });
      const held_until = NOW + 2 * MINUTE;
      expect(await leases().renew({ name, holder, held_until })).toEqual({ outcome: 'renewed' });
      const next = lease({ name, acquired_at: held_until, held_until: held_until + MINUTE });
      expect(await leases().acquire({ lease: { ...next, acquired_at: held_until - 1 } })).toMatchObject({
        outcome: 'held',
      });
      await leases().acquire({ lease: next });
      expect(await leases().renew({ name, holder, held_until: NOW + 9 * MINUTE })).toEqual({
        outcome: 'lost',
      });
      expect(await leases().find({ name })).toEqual(next);
    });

    it('are let go by who has them only', async () => {
      const first = lease();
      const { name, holder } = first;
      await leases().acquire({ lease: first });
      await leases().release({ name, holder: newId('run') });
      expect(await leases().find({ name })).toEqual(first);
      await leases().release({ name, holder });
      expect(await leases().find({ name })).toBeUndefined();
      expect(await leases().acquire({ lease: lease({ name }) })).toEqual({ outcome: 'acquired' });
    });
  });
}
