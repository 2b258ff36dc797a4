/** What the store promises about signing keys by themselves; stand-ins for it, which tests of the keys use, promise the same. */
import { describe, expect, it } from 'vitest';
import type { SigningKeyStore } from '../store.ts';
import { DAY, HOUR, keyRow, NOW, newId } from './rows.ts';
import { atOnce, tally } from './world.ts';

/** Each test wants a store without keys. */
export function describeKeys(keys: () => SigningKeyStore): void {
  it('takes one first key of 10 at once, and none ever after', async () => {
    const rivals = Array.from({ length: 10 }, () => keyRow());
    const answers = await Promise.all(rivals.map((key) => keys().addFirst({ key })));
    expect(tally(answers)).toEqual({ added: 1, taken: 9 });
    const winner = rivals[answers.findIndex((answer) => answer.outcome === 'added')];
    expect(await keys().list({})).toEqual([winner]);
    const late = keyRow({ state: 'retired' });
    expect(await keys().addFirst({ key: late })).toEqual({ outcome: 'taken' });
  });

  it('takes one pending key of 10 at once', async () => {
    await keys().addFirst({ key: keyRow() });
    const answers = await atOnce(10, () => keys().addPending({ key: keyRow({ state: 'pending' }) }));
    expect(tally(answers)).toEqual({ added: 1, taken: 9 });
    expect(await keys().list({})).toHaveLength(2);
  });

  it('activates the pending key once of 10 times at once; the former one verifies on', async () => {
    const former = keyRow();
    const next = keyRow({ state: 'pending', created_at: NOW + 1 });
    await keys().addFirst({ key: former });
    await keys().addPending({ key: next });
    const activate = { kid: next.kid, now: NOW + HOUR, retires_at: NOW + DAY, margin: 0 };
    const answers = await atOnce(10, () => keys().activate(activate));
    expect(tally(answers)).toEqual({ activated: 1, unknown: 9 });
    expect(await keys().list({})).toEqual([
      { ...former, state: 'retiring', retires_at: NOW + DAY },
      { ...next, state: 'active', activated_at: NOW + HOUR },
    ]);
  });

  it('activates nothing that is not waiting', async () => {
    const key = keyRow();
    await keys().addFirst({ key });
    for (const kid of [key.kid, newId('kid')]) {
      const answer = await keys().activate({ kid, now: NOW, retires_at: NOW, margin: 0 });
      expect(answer).toEqual({ outcome: 'unknown' });
    }
    expect(await keys().list({})).toEqual([key]);
  });

  it('retires a retiring key at its time and not before', async () => {
    const [first, second] = [keyRow(), keyRow({ state: 'pending', created_at: NOW + 1 })];
    await keys().addFirst({ key: first });
    await keys().addPending({ key: second });
    await keys().activate({ kid: second.kid, now: NOW, retires_at: NOW + 10, margin: 0 });
    expect(await keys().retireDue({ now: NOW + 9 })).toEqual({ retired: 0 });
    expect(await keys().retireDue({ now: NOW + 10 })).toEqual({ retired: 1 });
    expect(await keys().retireDue({ now: NOW + 11 })).toEqual({ retired: 0 });
    const [retired, active] = await keys().list({});
    expect(retired).toMatchObject({ kid: first.kid, state: 'retired', retired_at: NOW + 10 });
    expect(active).toMatchObject({ kid: second.kid, state: 'active', retired_at: null });
  });

  it('retires one of 10 times at once, from the state that was asked for and no other', async () => {
    const [active, pending] = [keyRow(), keyRow({ state: 'pending', created_at: NOW + 1 })];
    await keys().addFirst({ key: active });
    await keys().addPending({ key: pending });
    const { kid } = pending;
    expect(await keys().retire({ kid, from: 'retiring', now: NOW })).toEqual({ outcome: 'changed' });
    expect(await keys().retire({ kid: active.kid, from: 'pending', now: NOW })).toEqual({
      outcome: 'changed',
    });
    const answers = await atOnce(10, () => keys().retire({ kid, from: 'pending', now: NOW + 2 }));
    expect(tally(answers)).toEqual({ retired: 1, changed: 9 });
    const withdrawn = { ...pending, state: 'retired', retired_at: NOW + 2 };
    expect(await keys().list({})).toEqual([active, withdrawn]);
    // The place of the waiting key is free again.
    expect(await keys().addPending({ key: keyRow({ state: 'pending' }) })).toEqual({ outcome: 'added' });
  });

  it('drops a key that does not sign, once, and never the active one', async () => {
    const [active, pending] = [keyRow(), keyRow({ state: 'pending', created_at: NOW + 1 })];
    await keys().addFirst({ key: active });
    await keys().addPending({ key: pending });
    for (const kid of [active.kid, newId('kid')]) {
      expect(await keys().compromise({ kid, now: NOW })).toEqual({ outcome: 'changed' });
    }
    const answers = await atOnce(10, () => keys().compromise({ kid: pending.kid, now: NOW + 3 }));
    expect(tally(answers)).toEqual({ compromised: 1, changed: 9 });
    const dropped = { ...pending, state: 'compromised', retired_at: NOW + 3 };
    expect(await keys().list({})).toEqual([active, dropped]);
    const activate = { kid: pending.kid, now: NOW, retires_at: NOW, margin: 0 };
    expect(await keys().activate(activate)).toEqual({ outcome: 'unknown' });
  });

  describe('a key that takes over at once', () => {
    const times = { now: NOW + HOUR, retires_at: NOW + DAY, margin: 0 };

    it('drops the former one, for one of 10 new keys', async () => {
      const former = keyRow();
      await keys().addFirst({ key: former });
      const rivals = Array.from({ length: 10 }, () => keyRow({ created_at: NOW + 1 }));
      const answers = await Promise.all(
        rivals.map((successor) =>
          keys().takeOver({ former: former.kid, becomes: 'compromised', successor, ...times }),
        ),
      );
      expect(tally(answers)).toEqual({ taken_over: 1, changed: 9 });
      const winner = rivals[answers.findIndex(({ outcome }) => outcome === 'taken_over')];
      expect(await keys().list({})).toEqual([
        { ...former, state: 'compromised', retired_at: NOW + HOUR },
        winner,
      ]);
    });

    it('lets the former one verify on, where it is the waiting one that takes over', async () => {
      const [former, pending] = [keyRow(), keyRow({ state: 'pending', created_at: NOW + 1 })];
      await keys().addFirst({ key: former });
      await keys().addPending({ key: pending });
      const successor = { ...pending, state: 'active', activated_at: NOW + HOUR } as const;
      const takeOver = { former: former.kid, becomes: 'retiring', successor, ...times } as const;
      expect(tally(await atOnce(10, () => keys().takeOver(takeOver)))).toEqual({ taken_over: 1, changed: 9 });
      expect(await keys().list({})).toEqual([
        { ...former, state: 'retiring', retires_at: NOW + DAY },
        successor,
      ]);
    });

    it('may be the only one there is, and leaves all as it was where it cannot be', async () => {
      const first = keyRow();
      const takeOver = { former: null, becomes: 'retiring', ...times } as const;
      expect(await keys().takeOver({ ...takeOver, successor: first })).toEqual({ outcome: 'taken_over' });
      expect(await keys().takeOver({ ...takeOver, successor: keyRow() })).toEqual({ outcome: 'changed' });
      const again = { ...takeOver, former: first.kid, successor: first };
      expect(await keys().takeOver(again)).toEqual({ outcome: 'changed' });
      expect(await keys().list({})).toEqual([first]);
    });
  });

  it('lists the oldest first', async () => {
    const [first, earlier] = [keyRow(), keyRow({ state: 'pending', created_at: NOW - 1 })];
    await keys().addFirst({ key: first });
    await keys().addPending({ key: earlier });
    expect(await keys().list({})).toEqual([earlier, first]);
  });
}
