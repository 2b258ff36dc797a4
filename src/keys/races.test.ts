import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeEngines, type FreshStorage, freshStorage } from '../../test/setup/engines.ts';
import { openFreshStore, storageChoice } from '../../test/setup/fresh-store.ts';
import type { SigningKeyStore, Store } from '../store/store.ts';
import { Installation } from './keyring.test-kit.ts';
import type { Keyring } from './keyring.ts';

const PROCESSES = 8;

describeEngines('processes that race for the keys', (engine) => {
  let storage: FreshStorage;
  let store: Store;
  let installation: Installation<SigningKeyStore>;
  let rings: Keyring[];

  beforeEach(async () => {
    storage = await freshStorage(engine);
    store = await openFreshStore(storageChoice(storage, PROCESSES));
    installation = await Installation.on(store.keys);
    rings = await together(() => installation.open());
  });

  afterEach(async () => {
    await installation[Symbol.asyncDispose]();
    await store.close();
    await storage.dispose();
  });

  const together = <T>(work: (index: number) => Promise<T>) =>
    Promise.all(Array.from({ length: PROCESSES }, (_, index) => work(index)));
  const signingKeys = async () =>
    new Set((await together((index) => rings[index]!.sign('at+jwt', {}))).map(({ kid }) => kid));
  const filed = async () => (await installation.keyfile()).list();
  const changes = () => installation.changes.map(({ action }) => action);

  test('a first start makes one key', async () => {
    expect(await signingKeys()).toEqual(new Set(await filed()));
    expect(await filed()).toHaveLength(1);
    expect(changes()).toEqual(['key.created']);
  });

  test('a rotation publishes one key, which all of them name', async () => {
    const rotations = await together((index) => rings[index]!.rotate());
    expect(new Set(rotations.map(({ kid }) => kid)).size).toBe(1);
    expect(new Set(rotations.map(({ activates_at }) => activates_at)).size).toBe(1);
    expect(rotations.filter(({ started }) => started)).toHaveLength(1);
    expect(await filed()).toHaveLength(2);
    expect(changes()).toEqual(['key.created', 'key.published']);
  });

  test('one activates, one retires, and all agree', async () => {
    const [former] = await signingKeys();
    const { kid, activates_at } = await rings[0]!.rotate();
    await together((index) => rings[index]!.tick());
    installation.clock.moveTo(activates_at);
    await together((index) => rings[index]!.tick());
    expect(await signingKeys()).toEqual(new Set([kid]));
    expect(changes()).toEqual(['key.created', 'key.published', 'key.activated']);

    const retiring = rings[0]!.state().keys.find((key) => key.kid === former);
    expect(retiring?.state).toBe('retiring');
    installation.clock.moveTo(retiring?.retires_at ?? 0);
    await together((index) => rings[index]!.tick());
    expect(changes()).toEqual(['key.created', 'key.published', 'key.activated', 'key.retired']);
    for (const ring of rings) expect(ring.state().keys).toEqual(rings[0]!.state().keys);
    for (const ring of rings) expect(ring.jwks().keys.map((key) => key.kid)).toEqual([kid]);
  });
});
