import { afterEach, beforeEach, expect, test } from 'vitest';
import { asFailure } from '../../src/kernel/errors.ts';
import { makeIds } from '../../src/kernel/ids.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import { DataKeys } from '../../src/keys/sealing/data-keys.ts';
import { masterKeyId } from '../../src/keys/sealing/master-key.ts';
import { type ReencryptReport, reencrypt } from '../../src/keys/sealing/reencrypt.ts';
import { sealedPrivateKeys } from '../../src/keys/sealing/sealed-rows.ts';
import type { PemStore } from '../../src/keys/stores/key-store.ts';
import type { Store } from '../../src/store/store.ts';
import { describeEngines } from '../setup/engines.ts';
import {
  Deployment,
  Killed,
  Life,
  mortalStore,
  newMasterKey,
  type Settings,
  sealedBy,
} from './deployment.ts';

const pair = await makeKeyPair('ES256');
const [A, B] = [newMasterKey(), newMasterKey()];
const idOf = (key: string) => masterKeyId(Buffer.from(key, 'hex'));
const quiet = { progress: () => undefined, signal: new AbortController().signal };

describeEngines('private keys sealed in the database', (engine) => {
  let deployment: Deployment;
  beforeEach(async () => {
    deployment = await Deployment.make(engine);
  });
  afterEach(() => deployment[Symbol.asyncDispose]());

  const pems = async (settings: Settings, store?: Store): Promise<PemStore> => {
    const custody = await deployment.process(settings, store);
    return (await custody.named('database'))!.pems!;
  };
  const failureOf = (work: Promise<unknown>) =>
    work.then(() => expect.unreachable('it went well'), asFailure);

  async function run(
    settings: Settings,
    newDataKey = false,
    store = deployment.store,
  ): Promise<ReencryptReport> {
    const custody = await deployment.process(settings, store);
    const parts = {
      store: store.dataKeys,
      dataKeys: await custody.dataKeys(),
      tables: [sealedPrivateKeys(store.privateKeys)],
    };
    return reencrypt(parts, { newDataKey }, quiet);
  }

  async function fill(settings: Settings, rows: number): Promise<string[]> {
    const keys = await pems(settings);
    const pairs = await Promise.all(Array.from({ length: rows }, () => makeKeyPair('EdDSA')));
    for (const each of pairs) await keys.save(each.kid, writePem(each));
    return pairs.map(({ kid }) => kid).sort();
  }

  test('are kept, found, listed and removed, and nothing of them is to be read there', async () => {
    const keys = await pems(sealedBy(A));
    await keys.save(pair.kid, writePem(pair));
    expect(await keys.load(pair.kid)).toBe(writePem(pair));
    expect(await (await pems(sealedBy(A))).load(pair.kid)).toBe(writePem(pair));
    expect(await keys.list()).toEqual([pair.kid]);
    const [row] = await deployment.store.privateKeys.list({ after: '', limit: 10 });
    const [dataKey] = await deployment.store.dataKeys.list({});
    expect(row!.sealed).toMatch(new RegExp(`^v1\\.${dataKey!.id}\\.`));
    expect(dataKey).toMatchObject({ master_key_id: idOf(A) });
    const kept = JSON.stringify([row, dataKey]);
    for (const secret of [A, 'PRIVATE', String(pair.privateKey.export({ format: 'jwk' })['d'])]) {
      expect(kept).not.toContain(secret);
    }
    await keys.remove(pair.kid);
    expect(await keys.load(pair.kid)).toBeUndefined();
  });

  test('processes that seal first together make one data key', async () => {
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const own = await makeKeyPair('EdDSA');
        await (await pems(sealedBy(A))).save(own.kid, writePem(own));
      }),
    );
    expect(await deployment.store.dataKeys.list({})).toHaveLength(1);
    expect(await (await pems(sealedBy(A))).list()).toHaveLength(8);
  });

  test.each<[string, Settings, string]>([
    ['another master key', sealedBy(B), idOf(B)],
    ['no master key', {}, 'data_encryption.driver is none'],
  ])(
    'with %s the one that is needed is named within a second, and nothing is made',
    async (_, settings, here) => {
      await fill(sealedBy(A), 1);
      const before = await deployment.store.dataKeys.list({});
      const started = performance.now();
      const failure = await failureOf(pems(settings));
      expect(performance.now() - started).toBeLessThan(1000);
      expect(failure).toMatchObject({ code: 'configuration' });
      expect(failure.message).toContain(idOf(A));
      expect(failure.message).toContain(here);
      expect(failure.hint).toContain('authserver keys shares combine');
      expect(`${failure.message}${failure.hint}${failure.detail}`).not.toMatch(new RegExp(`${A}|${B}`));
      expect(await deployment.store.dataKeys.list({})).toEqual(before);
    },
  );

  test('a data key that was damaged, or a row put in the place of another, does not open', async () => {
    const [one = '', two = ''] = await fill(sealedBy(A), 2);
    const { privateKeys, dataKeys } = deployment.store;
    const [first, second] = await privateKeys.list({ after: '', limit: 2 });
    await privateKeys.reseal({ ...first!, former: first!.sealed, sealed: second!.sealed });
    const keys = await pems(sealedBy(A));
    expect(await failureOf(keys.load(one))).toMatchObject({ message: expect.stringContaining(one) });
    expect(await keys.load(two)).toContain('PRIVATE KEY');

    const [row] = await dataKeys.list({});
    const broken = { ...row!, former: row!.wrapped, wrapped: `${row!.wrapped.slice(0, -4)}AAAA`, now: 1 };
    await dataKeys.rewrap(broken);
    expect((await failureOf(pems(sealedBy(A)))).message).toContain(row!.id);
    expect((await failureOf(run(sealedBy(B, A)))).code).toBe('configuration');
  });

  test('a new master key takes over while a process that knows only the former one works on', async () => {
    const kids = await fill(sealedBy(A), 3);
    const former = await pems(sealedBy(A));
    await former.load(kids[0]!);
    const report = await run(sealedBy(B, A));
    expect(report).toMatchObject({
      master_key_id: idOf(B),
      data_keys: { total: 1, rewrapped: 1, made: 0 },
      rows: { total: 3, resealed: 0 },
      by_master_key: [{ master_key_id: idOf(B), data_keys: 1, rows: 3 }],
      unreadable: [],
      proven: true,
      removable: [{ master_key_id: idOf(A), source: 'data_encryption.old_keys' }],
    });
    for (const kid of kids) expect(await former.load(kid)).toContain('PRIVATE KEY');
    await former.save(pair.kid, writePem(pair));
    expect(await (await pems(sealedBy(B))).load(pair.kid)).toBe(writePem(pair));
    expect(await failureOf(pems(sealedBy(A)))).toMatchObject({ code: 'configuration' });
    expect((await run(sealedBy(B))).data_keys.rewrapped).toBe(0);
  });

  test('every row is sealed under a new data key, and the former one goes', async () => {
    const kids = await fill(sealedBy(A), 5);
    const [before] = await deployment.store.dataKeys.list({});
    const report = await run(sealedBy(B, A), true);
    const [now, ...more] = await deployment.store.dataKeys.list({});
    expect(more).toEqual([]);
    expect(now!.id).not.toBe(before!.id);
    expect(report).toMatchObject({
      data_keys: { total: 1, made: 1, removed: 1 },
      rows: { total: 5, resealed: 5 },
      by_data_key: [{ data_key_id: now!.id, rows: 5 }],
      proven: true,
    });
    for (const row of await deployment.store.privateKeys.list({ after: '', limit: 9 })) {
      expect(row).toMatchObject({ data_key_id: now!.id, sealed: expect.stringContaining(now!.id) });
    }
    for (const kid of kids) expect(await (await pems(sealedBy(B))).load(kid)).toContain('PRIVATE KEY');
  });

  test('a new data key is the newest one, though the clock was set back since the one before was made', async () => {
    const [kid = ''] = await fill(sealedBy(A), 1);
    const [before] = await deployment.store.dataKeys.list({});
    const { masters } = await (await deployment.process(sealedBy(A))).dataKeys();
    const clock = { now: () => before!.created_at - 60_000 };
    const store = deployment.store.dataKeys;
    const ids = makeIds(clock, systemRandom);
    const dataKeys = new DataKeys({ store, masters, clock, ids, random: systemRandom });
    const tables = [sealedPrivateKeys(deployment.store.privateKeys)];
    const report = await reencrypt({ store, dataKeys, tables }, { newDataKey: true }, quiet);
    expect(report).toMatchObject({ data_keys: { made: 1, removed: 1 }, rows: { total: 1, resealed: 1 } });
    expect((await store.list({})).map(({ id }) => id)).not.toContain(before!.id);
    expect(await (await pems(sealedBy(A))).load(kid)).toContain('PRIVATE KEY');
  });

  test('a row that does not open is named, and then no key may be removed', async () => {
    const [kid = ''] = await fill(sealedBy(A), 3);
    const row = (await deployment.store.privateKeys.find({ kid }))!;
    await deployment.store.privateKeys.reseal({
      ...row,
      former: row.sealed,
      sealed: `${row.sealed.slice(0, -4)}AAAA`,
    });
    const report = await run(sealedBy(B, A));
    expect(report).toMatchObject({
      proven: false,
      removable: [],
      unreadable: [{ table: 'private_keys', id: kid }],
    });
    expect((await failureOf(run(sealedBy(B, A), true))).message).toContain(kid);
  });

  test('killed before any of its writes and run again, it comes to the same end', async () => {
    const kids = await fill(sealedBy(A), 3);
    let [present, former] = [A, B];
    for (let writes = 0; ; writes++) {
      [present, former] = [former, present];
      const life = new Life(writes);
      const outcome = await run(sealedBy(present, former), true, mortalStore(deployment.store, life)).catch(
        (error: unknown) => error,
      );
      if (life.over) expect(outcome).toBeInstanceOf(Killed);
      // Whoever has both keys can read everything at this moment.
      const both = await pems(sealedBy(former, present));
      for (const kid of kids) expect(await both.load(kid), `after ${writes} writes`).toContain('PRIVATE KEY');
      const report = await run(sealedBy(present, former), life.over);
      expect(report).toMatchObject({
        proven: true,
        rows: { total: 3 },
        by_master_key: [{ master_key_id: idOf(present), rows: 3 }],
        removable: [{ master_key_id: idOf(former) }],
      });
      // A run that has added its data key is taken up; the next one does not add another.
      expect(await deployment.store.dataKeys.list({})).toHaveLength(1);
      if (!life.over) return expect(writes).toBeGreaterThan(5);
    }
  });

  test('two at once, beside processes that seal and read, come to one end', async () => {
    await fill(sealedBy(A), 20);
    let busy = true;
    const worker = (async () => {
      const keys = await pems(sealedBy(A, B));
      const kids = await keys.list();
      for (let n = 0; busy; n++) {
        expect(await keys.load(kids[n % kids.length]!)).toContain('PRIVATE KEY');
        const own = await makeKeyPair('EdDSA');
        await keys.save(own.kid, writePem(own));
      }
    })();
    const reports = await Promise.all([run(sealedBy(B, A), true), run(sealedBy(B, A), true)]).finally(() => {
      busy = false;
    });
    await worker;
    const last = await run(sealedBy(B, A));
    expect(last).toMatchObject({ proven: true, by_master_key: [{ master_key_id: idOf(B) }] });
    expect(reports.every(({ unreadable }) => unreadable.length === 0)).toBe(true);
  });

  test('it stops between two rows when it is told to', async () => {
    await fill(sealedBy(A), 2);
    const custody = await deployment.process(sealedBy(B, A));
    const stop = new AbortController();
    const parts = {
      store: deployment.store.dataKeys,
      dataKeys: await custody.dataKeys(),
      tables: [sealedPrivateKeys(deployment.store.privateKeys)],
    };
    const steps: string[] = [];
    const progress = ({ step }: { step: string }) => {
      steps.push(step);
      if (step === 'sealing rows') stop.abort();
    };
    const failure = await failureOf(
      reencrypt(parts, { newDataKey: true }, { progress, signal: stop.signal }),
    );
    expect(failure.code).toBe('interrupted');
    expect(steps).toEqual(['wrapping data keys', 'sealing rows']);
    expect((await run(sealedBy(B, A), true)).rows).toEqual({ total: 2, resealed: 1 });
  });

  test('more rows than a batch has are all sealed anew', async () => {
    const custody = await deployment.process(sealedBy(A));
    const dataKeys = await custody.dataKeys();
    for (let n = 0; n < 250; n++) {
      const kid = `kid-${String(n).padStart(4, '0')}`;
      const sealed = await dataKeys.seal({ table: 'private_keys', column: 'sealed', id: kid }, `text ${n}`);
      await deployment.store.privateKeys.save({ key: { kid, ...sealed, created_at: 1 } });
    }
    expect(await run(sealedBy(A), true)).toMatchObject({ rows: { total: 250, resealed: 250 }, proven: true });
  });
});
