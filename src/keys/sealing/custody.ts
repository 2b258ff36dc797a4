import type { KeyStores } from '../stores/key-store.ts';
import type { DataKeys } from './data-keys.ts';
import type { MasterKeys } from './master-key.ts';

/** What an operator wants to see of it at a glance. */
export interface CustodyState {
  /** Where new private keys are made. */
  readonly key_store: string;
  readonly data_encryption: string;
  /** The master key that wraps now; null without one. */
  readonly master_key_id: string | null;
  /** Data keys that are open here, which is all of them; 0 without a master key. */
  readonly data_keys: number;
}

/** The key stores and the master keys that one process has. */
export interface Custody extends KeyStores {
  /** Failures: `configuration` without a master key in the settings, or with one that cannot be read; `unavailable`. */
  masters(): Promise<MasterKeys>;
  /** Every data key, open. Failures: those of `masters`, and `configuration` when one does not open. */
  dataKeys(): Promise<DataKeys>;
  state(): CustodyState;
}
