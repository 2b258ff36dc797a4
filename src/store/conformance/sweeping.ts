/** What the store promises about tables that strangers fill: whoever adds a row takes a few away that have expired. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Harness, OpenedStore } from './harness.ts';
import { HOUR, NOW, newId, requestRow } from './rows.ts';
import { World } from './world.ts';

const ROWS = 60;

/** How one such table is filled with rows of an hour, and how a test sees whether one is still in it. */
interface Filled {
  add(id: string, now: number): Promise<unknown>;
  isKept(id: string): Promise<boolean>;
}

const tables: Readonly<Record<string, (world: World) => Promise<Filled>>> = {
  async requests(world) {
    const { requests } = world.store;
    const client_id = (await world.client()).id;
    return {
      add: (id, now) =>
        requests.save({ request: requestRow(client_id, { id, created_at: now, expires_at: now + HOUR }) }),
      isKept: async (id) => (await requests.find({ id, now: NOW })) !== undefined,
    };
  },
  async loginFailures({ store: { loginFailures } }) {
    const rules = { window: HOUR / 2, lockout: HOUR / 2 };
    return {
      add: (id, now) => loginFailures.count({ ids: [{ id, limit: 1 }], now, ...rules }),
      isKept: async (id) => (await loginFailures.lockedUntil({ ids: [id], now: NOW })) !== null,
    };
  },
  async replays({ store: { replays } }) {
    return {
      add: (id, now) => replays.consume({ id, expires_at: now + HOUR, now }),
      isKept: async (id) => !(await replays.consume({ id, expires_at: NOW, now: NOW })).first,
    };
  },
};

export function describeSweeping({ open }: Harness): void {
  describe('sweeping', () => {
    let opened: OpenedStore;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.dispose());

    it.each(Object.entries(tables))(
      '%s: each new row takes a few expired ones with it, and no live one',
      async (_, fill) => {
        const table = await fill(new World(opened.store));
        const [old, live] = [idsOf('old'), idsOf('zlive')];
        for (const id of old) await table.add(id, NOW);
        for (const id of live) await table.add(id, NOW + 1);
        const left = async (ids: readonly string[]) =>
          (await Promise.all(ids.map((id) => table.isKept(id)))).filter(Boolean).length;

        await table.add(newId('new'), NOW + HOUR - 1);
        expect(await left(old)).toBe(ROWS);
        await table.add(newId('new'), NOW + HOUR);
        const once = await left(old);
        expect(once).toBeLessThan(ROWS);
        expect(once).toBeGreaterThanOrEqual(ROWS / 2);
        for (let more = 0; more < 10; more++) await table.add(newId('new'), NOW + HOUR);
        expect(await left(old)).toBe(0);
        expect(await left(live)).toBe(ROWS);
      },
    );
  });
}

function idsOf(prefix: string): string[] {
  return Array.from({ length: ROWS }, () => newId(prefix));
}
