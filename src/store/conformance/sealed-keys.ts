/** What the store promises about data keys and about what is sealed under them. Each test has a store of its own. */
import { expect, it } from 'vitest';
import type { DataKeyRecord, PrivateKeyRecord } from '../records.ts';
import type { Store } from '../store.ts';
import { keyRow, NOW, newId } from './rows.ts';
import { atOnce, tally } from './world.ts';

export function describeSealedKeys(store: () => Store): void {
  it('takes one first data key of 10 at once', async () => {
    const rivals = Array.from({ length: 10 }, () => dataKeyRow());
    const answers = await Promise.all(rivals.map((key) => store().dataKeys.add({ key, newest: null })));
    expect(tally(answers)).toEqual({ added: 1, outdated: 9 });
    const winner = rivals[answers.findIndex(({ outcome }) => outcome === 'added')] as DataKeyRecord;
    expect(await store().dataKeys.list({})).toEqual([winner]);

    const next = dataKeyRow({ created_at: NOW + 1 });
    expect(await store().dataKeys.add({ key: next, newest: next.id })).toEqual({ outcome: 'outdated' });
    expect(await store().dataKeys.add({ key: next, newest: winner.id })).toEqual({ outcome: 'added' });
    expect(await store().dataKeys.list({})).toEqual([next, winner]);
  });

  it('wraps a data key anew once of 10 times at once', async () => {
    const key = await addDataKey(store());
    const answers = await atOnce(10, (n) =>
      store().dataKeys.rewrap({
        id: key.id,
        former: key.wrapped,
        wrapped: `again ${n}`,
        master_key_id: 'next',
        now: NOW + n,
      }),
    );
    expect(tally(answers)).toEqual({ rewrapped: 1, changed: 9 });
    const n = answers.findIndex(({ outcome }) => outcome === 'rewrapped');
    expect(await store().dataKeys.list({})).toEqual([
      { ...key, wrapped: `again ${n}`, master_key_id: 'next', rewrapped_at: NOW + n },
    ]);
  });

  it('removes a data key only when nothing is sealed under it', async () => {
    const { id } = await addDataKey(store());
    const key = privateKeyRow(id);
    await store().privateKeys.save({ key });
    expect(await store().dataKeys.removeUnused({ id })).toEqual({ outcome: 'used' });
    await store().privateKeys.remove(key);
    expect(await store().dataKeys.removeUnused({ id })).toEqual({ outcome: 'removed' });
    expect(await store().dataKeys.list({})).toEqual([]);
    expect(await store().privateKeys.save({ key })).toEqual({ outcome: 'no_data_key' });
  });

  it('gives up what a master key has wrapped, and nothing else', async () => {
    const [lost, kept] = [await addDataKey(store()), dataKeyRow({ master_key_id: 'other' })];
    await store().dataKeys.add({ key: { ...kept, created_at: NOW + 1 }, newest: lost.id });
    for (const { id } of [lost, lost, kept]) await store().privateKeys.save({ key: privateKeyRow(id) });
    expect(await store().dataKeys.abandon({ master_key_id: 'master' })).toEqual({ data_keys: 1, rows: 2 });
    expect((await store().dataKeys.list({})).map(({ id }) => id)).toEqual([kept.id]);
    expect(await store().privateKeys.count({})).toEqual([{ data_key_id: kept.id, rows: 1 }]);
    expect(await store().dataKeys.abandon({ master_key_id: 'master' })).toEqual({ data_keys: 0, rows: 0 });
  });

  it('keeps private halves, finds, lists, counts and removes them', async () => {
    const [one, two] = [await addDataKey(store()), dataKeyRow({ created_at: NOW + 1 })];
    await store().dataKeys.add({ key: two, newest: one.id });
    const keys = [privateKeyRow(one.id, 'a'), privateKeyRow(one.id, 'b'), privateKeyRow(two.id, 'c')];
    for (const key of keys) expect(await store().privateKeys.save({ key })).toEqual({ outcome: 'saved' });
    expect(await store().privateKeys.find({ kid: 'b' })).toEqual(keys[1]);
    expect(await store().privateKeys.list({ after: '', limit: 2 })).toEqual(keys.slice(0, 2));
    expect(await store().privateKeys.list({ after: 'b', limit: 2 })).toEqual(keys.slice(2));
    expect(
      new Map((await store().privateKeys.count({})).map((each) => [each.data_key_id, each.rows])),
    ).toEqual(
      new Map([
        [one.id, 2],
        [two.id, 1],
      ]),
    );
    const again = { ...(keys[0] as PrivateKeyRecord), sealed: 'again', data_key_id: two.id };
    expect(await store().privateKeys.save({ key: again })).toEqual({ outcome: 'saved' });
    expect(await store().privateKeys.find({ kid: 'a' })).toEqual(again);
    await store().privateKeys.remove({ kid: 'a' });
    await store().privateKeys.remove({ kid: 'a' });
    expect(await store().privateKeys.find({ kid: 'a' })).toBeUndefined();
  });

  it('seals a row anew once of 10 times at once', async () => {
    const { id } = await addDataKey(store());
    const key = privateKeyRow(id);
    await store().privateKeys.save({ key });
    const answers = await atOnce(10, (n) =>
      store().privateKeys.reseal({ kid: key.kid, former: key.sealed, sealed: `again ${n}`, data_key_id: id }),
    );
    expect(tally(answers)).toEqual({ resealed: 1, changed: 9 });
  });

  it('notes once of 10 times at once that a private half has moved', async () => {
    const key = keyRow();
    await store().keys.addFirst({ key });
    const to = { kid: key.kid, from: key.key_store, to: 'database' };
    expect(tally(await atOnce(10, () => store().privateKeys.relocate(to)))).toEqual({
      relocated: 1,
      changed: 9,
    });
    expect(await store().keys.list({})).toEqual([{ ...key, key_store: 'database' }]);
  });
}

async function addDataKey(store: Store): Promise<DataKeyRecord> {
  const key = dataKeyRow();
  await store.dataKeys.add({ key, newest: null });
  return key;
}

function dataKeyRow(given: Partial<DataKeyRecord> = {}): DataKeyRecord {
  const id = newId('dk');
  return {
    id,
    master_key_id: 'master',
    wrapped: `wrapped ${id}`,
    check_value: 'check',
    created_at: NOW,
    rewrapped_at: null,
    ...given,
  };
}

function privateKeyRow(data_key_id: string, kid = newId('kid')): PrivateKeyRecord {
  return { kid, sealed: `sealed ${kid}`, data_key_id, created_at: NOW };
}
