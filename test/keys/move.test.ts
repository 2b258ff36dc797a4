import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asFailure } from '../../src/kernel/errors.ts';
import { newRecord } from '../../src/keys/first-key.ts';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import { type MoveReport, moveKeys, strayCopies } from '../../src/keys/stores/move.ts';
import { describeEngines } from '../setup/engines.ts';
import {
  Deployment,
  Killed,
  Life,
  mortalKeyStores,
  mortalStore,
  newMasterKey,
  type Settings,
  sealedBy,
} from './deployment.ts';

const SEALED = sealedBy(newMasterKey());
const quiet = { progress: () => undefined, signal: new AbortController().signal };

describeEngines('moving private keys', (engine) => {
  let deployment: Deployment;
  /** The active key, then the pending one. */
  let kids: string[];

  beforeEach(async () => {
    deployment = await Deployment.make(engine);
    const keyfile = (await (await deployment.process()).named('keyfile'))!;
    const [active, pending] = [await keyfile.create('ES256'), await keyfile.create('ES256')];
    const { keys } = deployment.store;
    await keys.addFirst({ key: newRecord(active, keyfile, { now: 1, activatesAt: 1 }) });
    await keys.addPending({ key: newRecord(pending, keyfile, { now: 2, activatesAt: 3 }) });
    kids = [active.kid, pending.kid];
  });
  afterEach(() => deployment[Symbol.asyncDispose]());

  async function move(to: string, settings: Settings = SEALED, life = new Life(1000)): Promise<MoveReport> {
    const store = mortalStore(deployment.store, life);
    const custody = await deployment.process(settings, store);
    const keyStores = mortalKeyStores(custody, life);
    return moveKeys({ keys: store.keys, privateKeys: store.privateKeys, keyStores }, to, quiet);
  }
  const files = async () => readdir(path.join(deployment.stateDir, 'keys'));
  const rows = () => deployment.store.privateKeys.list({ after: '', limit: 100 });
  const failureOf = (work: Promise<unknown>) =>
    work.then(() => expect.unreachable('it went well'), asFailure);

  /** Every key signs where its row says: a promise at every moment. */
  async function expectAllSign(settings: Settings = SEALED): Promise<string[]> {
    const custody = await deployment.process(settings);
    const records = await deployment.store.keys.list({});
    for (const record of records) {
      const signer = await (await custody.named(record.key_store))!.signer(record);
      expect(await signer.sign('at+jwt', {})).toBeTruthy();
    }
    return records.map(({ key_store }) => key_store);
  }

  test('from files into the database and back, without a copy left', async () => {
    const there = await move('database');
    expect(there.moved).toEqual(kids.map((kid) => ({ kid, from: 'keyfile' })));
    expect(await expectAllSign()).toEqual(['database', 'database']);
    expect([await files(), (await rows()).length]).toEqual([[], 2]);

    expect(await move('database')).toMatchObject({ moved: [], kept: 2, cleared: [] });
    expect((await move('keyfile')).moved).toEqual(kids.map((kid) => ({ kid, from: 'database' })));
    expect(await expectAllSign()).toEqual(['keyfile', 'keyfile']);
    expect([(await files()).length, await rows()]).toEqual([2, []]);
  });

  test('killed before any of its writes and run again, every key signs at every moment, and no copy is left', async () => {
    for (const to of ['database', 'keyfile']) {
      for (let writes = 0; ; writes++) {
        const life = new Life(writes);
        const outcome = await move(to, SEALED, life).catch((error: unknown) => error);
        await expectAllSign();
        if (!life.over) break;
        expect(outcome).toBeInstanceOf(Killed);
        const strays = await strayCopies({
          keys: deployment.store.keys,
          keyStores: await deployment.process(SEALED),
        });
        const copies = (await files()).length + (await rows()).length;
        expect(strays).toHaveLength(copies - 2);
        await move(to);
        expect(await expectAllSign()).toEqual([to, to]);
        expect((await files()).length + (await rows()).length).toBe(2);
        await move(to === 'database' ? 'keyfile' : 'database');
      }
    }
  });

  test('two at once move each key once', async () => {
    const reports = await Promise.allSettled([move('database'), move('database')]);
    expect(reports.some(({ status }) => status === 'fulfilled')).toBe(true);
    await move('database');
    expect(await expectAllSign()).toEqual(['database', 'database']);
    expect([await files(), (await rows()).length]).toEqual([[], 2]);
  });

  test('into the environment only when it holds the very keys; out of it they are copied', async () => {
    const keyfile = (await (await deployment.process()).named('keyfile'))!;
    const texts = await Promise.all(kids.map((kid) => keyfile.pems!.load(kid)));
    const stranger = { SIGNING_KEY: writePem(await makeKeyPair('ES256')) };
    expect(await failureOf(move('env', stranger))).toMatchObject({ code: 'refused' });
    expect(await failureOf(move('env', {}))).toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('AUTHSERVER_SIGNING_KEY'),
    });
    expect(await expectAllSign()).toEqual(['keyfile', 'keyfile']);

    const env = { ...SEALED, SIGNING_KEY: texts.join('') };
    expect((await move('env', env)).moved).toHaveLength(2);
    expect(await expectAllSign(env)).toEqual(['env', 'env']);
    expect(await files()).toEqual([]);
    expect((await move('database', env)).moved).toHaveLength(2);
    expect(await expectAllSign()).toEqual(['database', 'database']);
  });

  test('a private half that is missing, or another key’s, is not moved', async () => {
    const keyfile = (await (await deployment.process()).named('keyfile'))!;
    const text = (await keyfile.pems!.load(kids[1]!))!;
    await keyfile.pems!.save(kids[0]!, text);
    expect((await failureOf(move('database'))).message).toContain(kids[0]);
    await keyfile.remove(kids[0]!);
    expect((await failureOf(move('database'))).message).toContain(kids[0]);
    expect(await rows()).toEqual([]);
    expect((await deployment.store.keys.list({})).map(({ key_store }) => key_store)).toEqual([
      'keyfile',
      'keyfile',
    ]);
  });

  test('a key that signs no more moves where it is kept, and is left alone where it is not', async () => {
    const { keys } = deployment.store;
    await keys.activate({ kid: kids[1]!, now: 3, retires_at: 4, margin: 0 });
    await (await (await deployment.process()).named('keyfile'))!.remove(kids[0]!);
    const report = await move('database');
    expect(report).toMatchObject({ moved: [{ kid: kids[1] }], without_private_half: [kids[0]] });
    expect((await keys.list({})).map(({ key_store }) => key_store)).toEqual(['keyfile', 'database']);
  });

  test('nothing moves without a master key, or into Vault', async () => {
    expect(await failureOf(move('database', {}))).toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('data_encryption.driver'),
    });
    const vault = {
      SIGNING_VAULT_TRANSIT_ADDRESS: 'http://127.0.0.1:1',
      SIGNING_VAULT_TRANSIT_TOKEN: 'a-token',
    };
    expect(await failureOf(move('vault_transit', vault))).toMatchObject({
      code: 'refused',
      hint: expect.stringContaining('authserver keys rotate'),
    });
    expect(await expectAllSign()).toEqual(['keyfile', 'keyfile']);
  });
});
