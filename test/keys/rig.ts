// Owns servers as the keys see them: a database of an engine, a place for private halves, a clock, and keyrings on them.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Clock } from '../../src/kernel/clock.ts';
import { makeIds } from '../../src/kernel/ids.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { makeKeyPair, writePem } from '../../src/keys/key-pair.ts';
import { ManualClock, onlyStore } from '../../src/keys/keyring.test-kit.ts';
import { type KeyChange, type Keyring, openKeyring } from '../../src/keys/keyring.ts';
import type { Timing } from '../../src/keys/lifecycle.ts';
import { DataKeys } from '../../src/keys/sealing/data-keys.ts';
import { aesMasterKey, masterKeys } from '../../src/keys/sealing/master-key.ts';
import { databaseStore } from '../../src/keys/stores/database-store.ts';
import { envStore } from '../../src/keys/stores/env-store.ts';
import type { KeyStore } from '../../src/keys/stores/key-store.ts';
import { type Disk, openKeyfile } from '../../src/keys/stores/keyfile.ts';
import { pemKeyStore } from '../../src/keys/stores/pem-key-store.ts';
import type { VaultClient } from '../../src/keys/vault/client.ts';
import { openVault } from '../../src/keys/vault/open.ts';
import { VaultStore } from '../../src/keys/vault/vault-store.ts';
import type { SigningKeyStore, Store } from '../../src/store/store.ts';
import { type Engine, freshStorage } from '../setup/engines.ts';
import { openFreshStore, storageChoice } from '../setup/fresh-store.ts';
import type { Fuse } from './fuse.ts';
import { FakeVault } from './vault/fake-vault.ts';

export const TIMING: Timing = {
  jwksMaxAge: 300_000,
  longestLifetime: 600_000,
  idTokenLifetime: 600_000,
  clockSkew: 5000,
  rotationInterval: 0,
};

const MASTER_KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => 7 * index)).toString('hex');

/** Where private halves are kept, in the ways that a test of every store goes through. */
export interface PrivateHalves {
  readonly name: string;
  /** They are the operator's: this store takes none in and loses none. */
  readonly external?: true;
  /** @param parts where they are given, ones that fail */
  open(
    rig: Rig,
    parts: {
      readonly disk?: Disk;
      readonly store: Store;
      readonly keys?: SigningKeyStore;
      readonly fuse?: Fuse;
    },
  ): Promise<KeyStore>;
}

/** A store of another kind is tested by another line. */
export const PRIVATE_HALVES: readonly PrivateHalves[] = [
  {
    name: 'keyfile',
    open: async ({ folder, clock }, { disk }) =>
      pemKeyStore(await openKeyfile({ folder, clock, log: silentLog, ...(disk && { disk }) })),
  },
  {
    name: 'database',
    open: async ({ clock }, { store }) => {
      const masters = masterKeys(aesMasterKey(MASTER_KEY, 'the test', systemRandom), []);
      const ids = makeIds(clock, systemRandom);
      const parts = { store: store.dataKeys, masters, clock, ids, random: systemRandom };
      const dataKeys = new DataKeys(parts);
      await dataKeys.openAll();
      return pemKeyStore(databaseStore({ store: store.privateKeys, dataKeys, clock }));
    },
  },
  {
    name: 'env',
    external: true,
    // As many keys as a test ever rotates through; an operator sets one more each time.
    open: async (rig, { store, keys = store.keys }) =>
      envStore([{ variable: 'AUTHSERVER_SIGNING_KEY', text: await rig.keysOfTheOperator() }], keys),
  },
  {
    name: 'vault_transit',
    external: true,
    async open(rig, { store, keys = store.keys, fuse }) {
      const { address } = await rig.vault();
      const connection = { address, namespace: undefined, timeout: 5000, tls: undefined };
      const client = openVault(connection, { by: 'token', token: 'root' }, silentLog);
      const key = { mount: 'transit', name: 'authserver-signing' };
      return new VaultStore({
        client: fuse ? fusedVault(fuse, client) : client,
        key,
        rows: keys,
      });
    },
  },
];

/** A Vault whose every change may be the last that this process asks for. */
function fusedVault(fuse: Fuse, client: VaultClient): VaultClient {
  const call: VaultClient['call'] = (method, path, body) => {
    const ask = () => client.call(method, path, body);
    return method === 'POST' && !path.includes('/sign/') ? fuse.write(path, ask) : ask();
  };
  return { address: client.address, call, close: () => client.close() } as unknown as VaultClient;
}

export class Rig implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly changes: KeyChange[] = [];
  readonly store: Store;
  readonly folder: string;
  readonly #dispose: () => Promise<void>;
  #vault: Promise<FakeVault> | undefined;
  #operatorsKeys: Promise<string> | undefined;

  private constructor(store: Store, folder: string, dispose: () => Promise<void>) {
    this.store = store;
    this.folder = folder;
    this.#dispose = dispose;
  }

  static async make(engine: Engine): Promise<Rig> {
    const storage = await freshStorage(engine);
    return Rig.on(await openFreshStore(storageChoice(storage)), () => storage.dispose());
  }

  /** On a store that is open already, and is closed with the rig. */
  static async on(
    store: Store,
    afterwards: () => Promise<void> = async () => undefined,
    folder?: string,
  ): Promise<Rig> {
    const state = folder ?? (await mkdtemp(path.join(tmpdir(), 'authserver-keys-')));
    return new Rig(store, path.join(state, 'keys'), async () => {
      await store.close();
      await afterwards();
      await rm(state, { recursive: true, force: true });
    });
  }

  /** Starts a server's keyring. */
  async open(
    parts: {
      readonly halves?: PrivateHalves;
      readonly keyStore?: KeyStore;
      readonly keys?: SigningKeyStore;
      readonly timing?: Partial<Timing>;
      readonly clock?: Clock;
      readonly isNew?: boolean;
      readonly mustSign?: boolean;
    } = {},
  ): Promise<Keyring> {
    const halves = parts.halves ?? PRIVATE_HALVES[0]!;
    return openKeyring({
      store: parts.keys ?? this.store.keys,
      keyStores: onlyStore(parts.keyStore ?? (await halves.open(this, { store: this.store }))),
      algorithm: 'ES256',
      timing: { ...TIMING, ...parts.timing },
      clock: parts.clock ?? this.clock,
      log: silentLog,
      installationIsNew: parts.isNew ?? true,
      mustSign: parts.mustSign ?? true,
      onChange: (change) => this.changes.push(change),
    });
  }

  /** The Vault of this installation. */
  vault(): Promise<FakeVault> {
    this.#vault ??= FakeVault.start();
    return this.#vault;
  }

  /** Private keys that the operator has at hand, as PEM. */
  keysOfTheOperator(): Promise<string> {
    this.#operatorsKeys ??= Promise.all(Array.from({ length: 60 }, () => makeKeyPair('ES256'))).then(
      (pairs) => pairs.map(writePem).join(''),
    );
    return this.#operatorsKeys;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#vault)?.stop();
    await this.#dispose();
  }
}
