import path from 'node:path';
import type { Config } from '../config.ts';
import type { StorageChoice } from '../open-store.ts';

/** What differs between a server and its trial. */
export interface TrialSettings {
  readonly storage: StorageChoice;
  /** The trial's state directory; its private keys are in `keys`. */
  readonly folder: string;
  readonly issuer: string;
}

/** Where a trial keeps its private keys. */
export function trialKeyFolder(folder: string): string {
  return path.join(folder, 'keys');
}

/** The settings at hand, for a server that is alone in the world: Vault is not there, and nobody is counted. */
export function trialConfig(config: Config, { storage, folder, issuer }: TrialSettings): Config {
  const { signing, data_encryption } = config;
  const { driver } = data_encryption;
  return {
    ...config,
    state_dir: folder,
    server: { ...config.server, issuer, trusted_proxies: [] },
    storage: { ...config.storage, ...placeOf(config, storage) },
    signing: {
      ...signing,
      key_store: 'keyfile',
      key_path: trialKeyFolder(folder),
      vault_transit: { ...signing.vault_transit, address: undefined },
    },
    data_encryption: {
      ...data_encryption,
      driver: driver === 'vault_transit' ? 'none' : driver,
      vault_transit: { ...data_encryption.vault_transit, address: undefined },
    },
    rate_limit: { ...config.rate_limit, enabled: false },
    purge: { ...config.purge, enabled: false },
    admin: { ...config.admin, enabled: false },
  };
}

/** The same without master keys: a server refuses to start with those that do not open everything. */
export function withoutMasterKeys(config: Config): Config {
  return { ...config, data_encryption: { ...config.data_encryption, driver: 'none' } };
}

/** The same without keys of the environment. */
export function withoutEnvKeys(config: Config): Config {
  return { ...config, signing: { ...config.signing, key: undefined, key_next: undefined } };
}

function placeOf({ storage: own }: Config, storage: StorageChoice): Partial<Config['storage']> {
  if (storage.driver === 'sqlite') return { sqlite: storage.sqlite };
  return { postgres: { ...own.postgres, dsn: storage.postgres.dsn } };
}
