/** What the store promises about failed sign-ins: windows, limits, locks. */
import { describe, expect, it } from 'vitest';
import { MINUTE, NOW, newId } from './rows.ts';
import { atOnce, type World } from './world.ts';

export function describeLoginFailures(world: () => World): void {
  describe('loginFailures', () => {
    const rules = { window: 10 * MINUTE, lockout: 15 * MINUTE };

    it('locks an id when its count within the window reaches the limit', async () => {
      const { loginFailures } = world().store;
      const ids = [{ id: newId('account'), limit: 3 }];
      const count = (now: number) => loginFailures.count({ ids, now, ...rules });
      expect(await count(NOW)).toEqual({ locked_until: null });
      expect(await count(NOW + 1)).toEqual({ locked_until: null });
      expect(await count(NOW + 2)).toEqual({ locked_until: NOW + 2 + rules.lockout });
    });

    it('begins a new window at the end of the old one', async () => {
      const { loginFailures } = world().store;
      const ids = [{ id: newId('account'), limit: 2 }];
      const count = (now: number) => loginFailures.count({ ids, now, ...rules });
      await count(NOW);
      expect(await count(NOW + rules.window)).toEqual({ locked_until: null });
      const inTime = NOW + 2 * rules.window - 1;
      expect(await count(inTime)).toEqual({ locked_until: inTime + rules.lockout });
    });

    it('counts each id by its own limit and answers the longest lock', async () => {
      const { loginFailures } = world().store;
      const [account, source] = [newId('account'), newId('source')];
      const ids = [
        { id: account, limit: 1 },
        { id: source, limit: 5 },
      ];
      expect(await loginFailures.count({ ids, now: NOW, ...rules })).toEqual({
        locked_until: NOW + rules.lockout,
      });
      expect(await loginFailures.lockedUntil({ ids: [source], now: NOW })).toBeNull();
      await loginFailures.count({ ids: [{ id: source, limit: 1 }], now: NOW + 50, ...rules });
      expect(await loginFailures.lockedUntil({ ids: [account, source], now: NOW + 50 })).toBe(
        NOW + 50 + rules.lockout,
      );
    });

    it('holds a lock until its end and not at it; then counting starts anew', async () => {
      const { loginFailures } = world().store;
      const id = newId('account');
      const end = NOW + rules.lockout;
      await loginFailures.count({ ids: [{ id, limit: 1 }], now: NOW, ...rules });
      expect(await loginFailures.lockedUntil({ ids: [id], now: end - 1 })).toBe(end);
      expect(await loginFailures.lockedUntil({ ids: [id], now: end })).toBeNull();
      const again = await loginFailures.count({ ids: [{ id, limit: 2 }], now: end, ...rules });
      expect(again).toEqual({ locked_until: null });
    });

    it('forgets what is cleared, and only that', async () => {
      const { loginFailures } = world().store;
      const [account, source] = [newId('account'), newId('source')];
      for (const id of [account, source])
        await loginFailures.count({ ids: [{ id, limit: 1 }], now: NOW, ...rules });
      await loginFailures.clear({ ids: [account] });
      expect(await loginFailures.lockedUntil({ ids: [account], now: NOW })).toBeNull();
      expect(await loginFailures.lockedUntil({ ids: [source], now: NOW })).not.toBeNull();
    });

    it('misses none of 20 failures at once', async () => {
      const { loginFailures } = world().store;
      const ids = [{ id: newId('account'), limit: 20 }];
      const answers = await atOnce(20, () => loginFailures.count({ ids, now: NOW, ...rules }));
      expect(answers.filter((answer) => answer.locked_until !== null)).toHaveLength(1);
    });
  });
}
