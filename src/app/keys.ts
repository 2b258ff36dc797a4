/** Where private keys are kept and what seals them, opened from the settings. What is not chosen is not loaded. */
import { readFile, stat } from 'node:fs/promises';
import type { Clock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import type { Ids } from '../kernel/ids.ts';
import type { Log } from '../kernel/log.ts';
import type { Random } from '../kernel/random.ts';
import type { Custody, CustodyState } from '../keys/sealing/custody.ts';
import type { DataKeys } from '../keys/sealing/data-keys.ts';
import type { MasterKey, MasterKeys } from '../keys/sealing/master-key.ts';
import type { KeyStore } from '../keys/stores/key-store.ts';
import { type Disk, openKeyfile } from '../keys/stores/keyfile.ts';
import { pemKeyStore } from '../keys/stores/pem-key-store.ts';
import type { VaultClient } from '../keys/vault/client.ts';
import type { VaultAuth } from '../keys/vault/token.ts';
import type { Store } from '../store/store.ts';
import type { Config } from './config.ts';

export interface CustodyParts {
  readonly store: Pick<Store, 'keys' | 'dataKeys' | 'privateKeys'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly log: Log;
  /** What key files are on, where it is to be another than that of this machine. */
  readonly disk?: Disk;
}

type StoreName = Config['signing']['key_store'];
type VaultTransit = Config['signing']['vault_transit'];

/**
 * Opens the key store of the settings, and every data key there is where there is a master key.
 * Failures: `configuration` when the settings cannot work or a data key does not open, `unavailable`.
 */
export async function openKeyCustody(config: Config, parts: CustodyParts): Promise<KeyCustody> {
  const custody = new KeyCustody(config, parts);
  try {
    if (config.data_encryption.driver !== 'none') await custody.dataKeys();
    await custody.openHome();
    return custody;
  } catch (error) {
    custody.close();
    throw error;
  }
}

/** The key stores and the master keys of one process. */
export class KeyCustody implements Custody {
  readonly #config: Config;
  readonly #parts: CustodyParts;
  readonly #stores = new Map<StoreName, Promise<KeyStore>>();
  readonly #clients: VaultClient[] = [];
  #home: KeyStore | undefined;
  #masters: Promise<MasterKeys> | undefined;
  #dataKeys: Promise<DataKeys> | undefined;
  #state: CustodyState;

  constructor(config: Config, parts: CustodyParts) {
    this.#config = config;
    this.#parts = parts;
    this.#state = {
      key_store: config.signing.key_store,
      data_encryption: config.data_encryption.driver,
      master_key_id: null,
      data_keys: 0,
    };
  }

  async openHome(): Promise<void> {
    this.#home = await this.#store(this.#config.signing.key_store);
  }

  get home(): KeyStore {
    if (this.#home === undefined) throw new TypeError('the key store has not been opened');
    return this.#home;
  }

  async named(name: string): Promise<KeyStore | undefined> {
    return isStoreName(name) && this.#isConfigured(name) ? this.#store(name) : undefined;
  }

  masters(): Promise<MasterKeys> {
    this.#masters ??= this.#openMasters();
    return this.#masters;
  }

  dataKeys(): Promise<DataKeys> {
    this.#dataKeys ??= this.#openDataKeys().catch((error: unknown) => {
      this.#dataKeys = undefined;
      throw error;
    });
    return this.#dataKeys;
  }

  state(): CustodyState {
    return this.#state;
  }

  close(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }

  /** Whether the settings say how to open a store that is not the one of new keys. */
  #isConfigured(name: StoreName): boolean {
    const { signing } = this.#config;
    if (name === 'vault_transit') return signing.vault_transit.address !== undefined;
    if (name === 'env') return signing.key !== undefined || signing.key_next !== undefined;
    return true;
  }

  /** One that cannot be opened is tried again when it is asked for again. */
  #store(name: StoreName): Promise<KeyStore> {
    const known = this.#stores.get(name);
    if (known !== undefined) return known;
    const opened = this.#open(name).catch((error: unknown) => {
      this.#stores.delete(name);
      throw error;
    });
    this.#stores.set(name, opened);
    return opened;
  }

  async #open(name: StoreName): Promise<KeyStore> {
    const { signing } = this.#config;
    const { store, clock, log, disk } = this.#parts;
    switch (name) {
      case 'keyfile':
        return pemKeyStore(
          await openKeyfile({ folder: signing.key_path, clock, log, ...(disk && { disk }) }),
        );
      case 'database': {
        const { databaseStore } = await import('../keys/stores/database-store.ts');
        return pemKeyStore(
          databaseStore({ store: store.privateKeys, dataKeys: await this.dataKeys(), clock }),
        );
      }
      case 'env': {
        const { envStore } = await import('../keys/stores/env-store.ts');
        const settings = [
          { variable: 'AUTHSERVER_SIGNING_KEY', text: signing.key },
          { variable: 'AUTHSERVER_SIGNING_KEY_NEXT', text: signing.key_next },
        ];
        return envStore(settings, store.keys);
      }
      case 'vault_transit': {
        const { VaultStore } = await import('../keys/vault/vault-store.ts');
        const { mount, key_name } = signing.vault_transit;
        const client = await this.#vault(signing.vault_transit);
        return new VaultStore({ client, key: { mount, name: key_name }, rows: store.keys });
      }
    }
  }

  async #openDataKeys(): Promise<DataKeys> {
    const { store, clock, random, ids } = this.#parts;
    const { DataKeys, masterKeyMissing } = await import('../keys/sealing/data-keys.ts');
    if (this.#config.data_encryption.driver === 'none') {
      const needed = (await store.dataKeys.list({})).map(({ master_key_id }) => master_key_id);
      throw needed.length > 0 ? masterKeyMissing([...new Set(needed)], []) : noMasterKey();
    }
    const masters = await this.masters();
    const dataKeys = new DataKeys({ store: store.dataKeys, masters, clock, ids, random });
    await dataKeys.openAll();
    this.#state = { ...this.#state, master_key_id: masters.current.id, data_keys: dataKeys.size };
    return dataKeys;
  }

  async #openMasters(): Promise<MasterKeys> {
    const { masterKeys } = await import('../keys/sealing/master-key.ts');
    const { driver, vault_transit } = this.#config.data_encryption;
    const old = await this.#oldKeys();
    if (driver === 'none') throw noMasterKey();
    const present = await this.#presentKey();
    if (driver === 'vault_transit') {
      const current = await this.#vaultMaster('data_encryption.vault_transit');
      return masterKeys(current, present === undefined ? old : [present, ...old]);
    }
    if (present === undefined) throw noMasterKey();
    // One that Vault holds, next to a key of the settings, is on its way out.
    const former =
      vault_transit.address === undefined ? [] : [await this.#vaultMaster('data_encryption.vault_transit')];
    return masterKeys(present, [...old, ...former]);
  }

  async #presentKey(): Promise<MasterKey | undefined> {
    const { key, key_file, key_command } = this.#config.data_encryption;
    if (key !== undefined) return this.#aes(key, 'data_encryption.key');
    if (key_file !== undefined)
      return this.#aes(await this.#read(key_file), `data_encryption.key_file ${key_file}`);
    if (key_command !== undefined) return this.#aesFrom(key_command, 'data_encryption.key_command');
    return undefined;
  }

  async #oldKeys(): Promise<MasterKey[]> {
    const { old_keys = [], old_key_files = [], old_key_command } = this.#config.data_encryption;
    const keys = old_keys.map((text) => this.#aes(text, 'data_encryption.old_keys'));
    for (const file of old_key_files) {
      keys.push(this.#read(file).then((text) => this.#aes(text, `data_encryption.old_key_files ${file}`)));
    }
    if (old_key_command !== undefined) {
      keys.push(this.#aesFrom(old_key_command, 'data_encryption.old_key_command'));
    }
    return Promise.all(keys);
  }

  async #aes(text: string, source: string): Promise<MasterKey> {
    const { aesMasterKey } = await import('../keys/sealing/master-key.ts');
    return aesMasterKey(text, source, this.#parts.random);
  }

  async #aesFrom(argv: readonly string[], source: string): Promise<MasterKey> {
    const { outputOf } = await import('../keys/sealing/key-command.ts');
    return this.#aes(await outputOf(argv, source, this.#config.data_encryption.key_command_timeout), source);
  }

  async #vaultMaster(source: string): Promise<MasterKey> {
    const { vaultMasterKey } = await import('../keys/vault/master-key.ts');
    const { vault_transit } = this.#config.data_encryption;
    const client = await this.#vault(vault_transit);
    return vaultMasterKey(client, { mount: vault_transit.mount, name: vault_transit.key_name }, source);
  }

  async #vault(settings: VaultTransit): Promise<VaultClient> {
    const { openVault } = await import('../keys/vault/open.ts');
    const { tls } = settings;
    const client = openVault(
      {
        // The rules of the configuration hold that it is there.
        address: settings.address ?? '',
        namespace: settings.namespace,
        timeout: settings.timeout,
        tls: {
          ca: tls.ca_file && (await this.#read(tls.ca_file, false)),
          cert: tls.cert_file && (await this.#read(tls.cert_file, false)),
          key: tls.key_file && (await this.#read(tls.key_file)),
        },
      },
      authOf(settings),
      this.#parts.log,
    );
    this.#clients.push(client);
    return client;
  }

  /** A secret that others on this machine can read too is told of: orchestrators mount them so, and we cannot change it. */
  async #read(file: string, secret = true): Promise<string> {
    try {
      const { mode } = await stat(file);
      if (secret && (mode & 0o007) !== 0) {
        const shown = (mode & 0o777).toString(8).padStart(4, '0');
        this.#parts.log.warn(
          { path: file, mode: shown },
          'a secret can be read by every user of this machine',
        );
      }
      return await readFile(file, 'utf8');
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
      throw new Failure('configuration', `Cannot read ${file} (${code}).`, {
        hint: 'See whether the file is there and the user of this server may read it.',
        cause,
      });
    }
  }
}

function authOf({ token, token_file, approle }: VaultTransit): VaultAuth {
  if (token !== undefined) return { by: 'token', token };
  if (token_file !== undefined) return { by: 'token_file', file: token_file };
  const { mount, role_id = '', secret_id = '', secret_id_file } = approle;
  const secret = secret_id_file === undefined ? { text: secret_id } : { file: secret_id_file };
  return { by: 'approle', mount, role_id, secret };
}

function isStoreName(name: string): name is StoreName {
  return name === 'keyfile' || name === 'database' || name === 'env' || name === 'vault_transit';
}

function noMasterKey(): Failure {
  return new Failure(
    'configuration',
    'The settings have no master key, without which the database seals nothing.',
    {
      hint: 'Set data_encryption.driver to aes_master and AUTHSERVER_DATA_ENCRYPTION_KEY to what `openssl rand -hex 32` prints.',
    },
  );
}
