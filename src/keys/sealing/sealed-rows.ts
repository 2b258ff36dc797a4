import type { PrivateKeyStore } from '../../store/store.ts';
import { privateKeyPlace } from '../stores/database-store.ts';
import type { Place } from './sealing.ts';

export interface SealedRow {
  readonly id: string;
  readonly sealed: string;
}

/** A table with a sealed column. Every one of them is re-sealed, and proven, by `keys reencrypt`. */
export interface SealedRows {
  readonly table: string;
  /** At most `limit` rows after an id, in the order of ids. */
  page(after: string, limit: number): Promise<SealedRow[]>;
  place(id: string): Place;
  /** False when the row is no longer what was read. */
  reseal(row: SealedRow, sealed: string, dataKeyId: string): Promise<boolean>;
  /** Rows by the id of their data key. */
  count(): Promise<ReadonlyMap<string, number>>;
}

export function sealedPrivateKeys(store: PrivateKeyStore): SealedRows {
  return {
    table: 'private_keys',
    async page(after, limit) {
      const rows = await store.list({ after, limit });
      return rows.map(({ kid, sealed }) => ({ id: kid, sealed }));
    },
    place: privateKeyPlace,
    async reseal({ id, sealed: former }, sealed, data_key_id) {
      const { outcome } = await store.reseal({ kid: id, former, sealed, data_key_id });
      return outcome === 'resealed';
    },
    async count() {
      return new Map((await store.count({})).map(({ data_key_id, rows }) => [data_key_id, rows]));
    },
  };
}
