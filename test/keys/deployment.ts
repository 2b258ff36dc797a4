// Owns a database and a state directory on which processes with settings of their own are opened, as `app/` opens them, and
// the way in which such a process dies between two writes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openRooms, type Rooms } from '../../src/app/compose.ts';
import { type Config, loadConfig } from '../../src/app/config.ts';
import { KeyCustody } from '../../src/app/keys.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { makeIds } from '../../src/kernel/ids.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { MemoryLog } from '../../src/keys/keyring.test-kit.ts';
import type { KeyStore, KeyStores } from '../../src/keys/stores/key-store.ts';
import type { Store } from '../../src/store/store.ts';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';

export type Settings = Readonly<Record<string, string>>;

export class Deployment implements AsyncDisposable {
  readonly store: Store;
  readonly stateDir: string;
  readonly log = new MemoryLog();
  readonly #storage: FreshStorage;
  readonly #opened: KeyCustody[] = [];

  private constructor(storage: FreshStorage, store: Store, stateDir: string) {
    this.#storage = storage;
    this.store = store;
    this.stateDir = stateDir;
  }

  static async make(engine: Engine): Promise<Deployment> {
    const storage = await freshStorage(engine);
    const store = await openFreshStore(storageChoice(storage));
    return new Deployment(storage, store, await mkdtemp(path.join(tmpdir(), 'authserver-keys-')));
  }

  /** A server with these settings, without its listeners; it leaves the store open when it closes. */
  async serve(settings: Settings = {}): Promise<Rooms> {
    const store = { ...this.store, close: async () => undefined };
    return openRooms(await this.config(settings), store, this.log);
  }

  /** @param settings `AUTHSERVER_` is left out; names of other systems are written whole */
  async config(settings: Settings): Promise<Config> {
    const named = Object.entries(settings).map(([name, value]) =>
      name.startsWith('HELLOJOHN') ? [name, value] : [`AUTHSERVER_${name}`, value],
    );
    const env = { AUTHSERVER_STATE_DIR: this.stateDir, ...Object.fromEntries(named) };
    return (await loadConfig({ file: undefined, env, terminal: false })).config;
  }

  /** A process with these settings; nothing is opened yet. */
  async process(settings: Settings = {}, store: Store = this.store): Promise<KeyCustody> {
    const config = await this.config(settings);
    const clock = systemClock;
    const parts = { store, clock, random: systemRandom, ids: makeIds(clock, systemRandom), log: this.log };
    const custody = new KeyCustody(config, parts);
    this.#opened.push(custody);
    return custody;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const custody of this.#opened) custody.close();
    await this.store.close();
    await this.#storage.dispose();
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

/** The settings of a database that is sealed. */
export function sealedBy(key: string, ...old: readonly string[]): Settings {
  return {
    DATA_ENCRYPTION_DRIVER: 'aes_master',
    DATA_ENCRYPTION_KEY: key,
    ...(old.length > 0 && { DATA_ENCRYPTION_OLD_KEYS: old.join(',') }),
  };
}

export function newMasterKey(): string {
  return systemRandom.bytes(32).toString('hex');
}

export class Killed extends Error {}

/** Lets a process live for a number of writes, and no longer: whatever it does then fails. */
export class Life {
  #left: number;

  constructor(writes: number) {
    this.#left = writes;
  }

  get over(): boolean {
    return this.#left < 0;
  }

  spend(): void {
    this.#left -= 1;
    if (this.over) throw new Killed('killed before this write');
  }
}

const WRITES = new Set(['add', 'rewrap', 'removeUnused', 'save', 'reseal', 'remove', 'relocate']);

/** The same store, for a process whose life is short. */
export function mortalStore(store: Store, life: Life): Store {
  const mortal = {
    ...store,
    dataKeys: limited(store.dataKeys, life),
    privateKeys: limited(store.privateKeys, life),
  };
  return mortal;
}

/** The same key stores; what `keyfile` writes counts too. */
export function mortalKeyStores(stores: KeyStores, life: Life): Pick<KeyStores, 'named'> {
  return {
    async named(name) {
      const found = await stores.named(name);
      return found?.pems === undefined || name !== 'keyfile' ? found : mortalKeyStore(found, life);
    },
  };
}

function mortalKeyStore(store: KeyStore, life: Life): KeyStore {
  const pems = store.pems && limited(store.pems, life);
  return { ...store, pems };
}

function limited<T extends object>(target: T, life: Life): T {
  return new Proxy(target, {
    get(of, name) {
      const found: unknown = Reflect.get(of, name);
      if (typeof found !== 'function') return found;
      return async (...input: unknown[]) => {
        if (life.over) throw new Killed('dead');
        if (WRITES.has(String(name))) life.spend();
        return found.apply(of, input) as unknown;
      };
    },
  });
}
