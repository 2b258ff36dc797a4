/** The data keys of an installation, opened with the master keys of the settings. */
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Ids } from '../../kernel/ids.ts';
import type { Random } from '../../kernel/random.ts';
import type { DataKeyRecord } from '../../store/records.ts';
import type { DataKeyStore } from '../../store/store.ts';
import type { MasterKey, MasterKeys } from './master-key.ts';
import { type DataKey, dataKeyOf, type Place, seal, unseal } from './sealing.ts';

export interface DataKeysParts {
  readonly store: DataKeyStore;
  readonly masters: MasterKeys;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly random: Random;
}

const CHECK = 'this data key has been opened';
const checkPlace = (id: string): Place => ({ table: 'data_keys', column: 'check_value', id });

export class DataKeys {
  readonly masters: MasterKeys;
  readonly #parts: DataKeysParts;
  /** An opened key stays open, whatever wraps its row by now: so a master key is replaced under running servers. */
  readonly #open = new Map<string, DataKey>();

  constructor(parts: DataKeysParts) {
    this.#parts = parts;
    this.masters = parts.masters;
  }

  /** How many keys are open here. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Opens every data key there is; the rows, the newest first.
   * Failures: `configuration` when one cannot be opened, with the ids that are needed and those that are here; `unavailable`.
   */
  async openAll(): Promise<DataKeyRecord[]> {
    const rows = await this.#parts.store.list({});
    for (const row of rows) await this.#opened(row);
    return rows;
  }

  /** Seals a text under the newest data key; the first one is made here. Failures: as `openAll`. */
  async seal(place: Place, text: string): Promise<{ sealed: string; data_key_id: string }> {
    const key = await this.#newest();
    return { sealed: seal(key, place, text, this.#parts.random), data_key_id: key.id };
  }

  /** Failures: `configuration` when it cannot be opened: by the keys that are here, or because it has been changed. */
  async unseal(place: Place, sealed: string): Promise<string> {
    const id = dataKeyOf(sealed);
    const key = id === undefined ? undefined : await this.#find(id);
    const text = key && unseal(key, place, sealed);
    if (text !== undefined) return text;
    const why =
      id !== undefined && key === undefined ? `names the data key ${id}, which is gone` : 'is damaged';
    throw new Failure('configuration', `What is sealed in ${place.table} for ${place.id} ${why}.`, {
      hint: 'Restore the database from a backup.',
    });
  }

  /** Makes a data key that seals from now on, after the newest one that the caller knows of; false when there is another. */
  async add(newest: string | null): Promise<boolean> {
    const { store, clock, ids, random } = this.#parts;
    const { current } = this.masters;
    const [former] = await store.list({});
    const key: DataKey = { id: ids.next('dk'), secret: random.bytes(32) };
    const record: DataKeyRecord = {
      id: key.id,
      master_key_id: current.id,
      wrapped: await current.wrap(key.secret, key.id),
      check_value: seal(key, checkPlace(key.id), CHECK, random),
      // The newest key is the one that seals, also where a clock was set back.
      created_at: Math.max(clock.now(), (former?.created_at ?? 0) + 1),
      rewrapped_at: null,
    };
    const { outcome } = await store.add({ key: record, newest });
    if (outcome === 'added') this.#open.set(key.id, key);
    return outcome === 'added';
  }

  /** Wraps a data key by the current master key; false when somebody else has wrapped it anew meanwhile. */
  async rewrap(row: DataKeyRecord): Promise<boolean> {
    const { store, clock } = this.#parts;
    const { current } = this.masters;
    const { secret } = await this.#opened(row);
    const wrapped = await current.wrap(secret, row.id);
    // Kept only once it has been proven that it can be opened again.
    if (!(await current.unwrap(wrapped, row.id))?.equals(secret)) throw cannotWrap(current);
    const { outcome } = await store.rewrap({
      id: row.id,
      former: row.wrapped,
      wrapped,
      master_key_id: current.id,
      now: clock.now(),
    });
    return outcome === 'rewrapped';
  }

  /** Opens a data key from its row with the keys of the settings, not from memory. Failures: as `openAll`. */
  async prove(row: DataKeyRecord): Promise<void> {
    await this.#unwrap(row);
  }

  async #newest(): Promise<DataKey> {
    for (;;) {
      // All of them: no key is made next to one that cannot be opened.
      const [row] = await this.openAll();
      if (row !== undefined) return this.#opened(row);
      await this.add(null);
    }
  }

  async #find(id: string): Promise<DataKey | undefined> {
    if (!this.#open.has(id)) {
      const row = (await this.#parts.store.list({})).find((each) => each.id === id);
      if (row !== undefined) await this.#opened(row);
    }
    return this.#open.get(id);
  }

  async #opened(row: DataKeyRecord): Promise<DataKey> {
    const known = this.#open.get(row.id);
    if (known !== undefined) return known;
    const key = await this.#unwrap(row);
    this.#open.set(key.id, key);
    return key;
  }

  async #unwrap(row: DataKeyRecord): Promise<DataKey> {
    const master = this.masters.all.find(({ id }) => id === row.master_key_id);
    if (master === undefined) throw masterKeyMissing([row.master_key_id], this.masters.all);
    const secret = await master.unwrap(row.wrapped, row.id);
    const key = secret && { id: row.id, secret };
    if (key !== undefined && unseal(key, checkPlace(key.id), row.check_value) === CHECK) return key;
    throw new Failure(
      'configuration',
      `The data key ${row.id} does not open with the master key ${master.id} (${master.source}) that wrapped it.`,
      { hint: 'Its row has been damaged: restore the database from a backup. No key is made in its place.' },
    );
  }
}

/** What the database needs, what the settings have, and how it is brought back. */
export function masterKeyMissing(needed: readonly string[], have: readonly MasterKey[]): Failure {
  const here =
    have.length === 0
      ? 'the settings have none (data_encryption.driver is none)'
      : `the settings have ${have.map(({ id, source }) => `${id} (${source})`).join(', ')}`;
  return new Failure(
    'configuration',
    `The database is sealed under the master key ${needed.join(', ')}, but ${here}.`,
    {
      hint:
        'Set data_encryption.key, key_file or key_command to that key, or name it in data_encryption.old_keys next to its ' +
        'successor. Where it is lost, `authserver keys shares combine --out FILE` rebuilds it from recovery shares, and ' +
        'data_encryption.key_file takes that file. Lost for good, `authserver keys abandon ID` gives up what is sealed under it. ' +
        'No key is made in its place.',
    },
  );
}

function cannotWrap({ id, source }: MasterKey): Failure {
  return new Failure(
    'configuration',
    `The master key ${id} (${source}) does not open what it has just wrapped.`,
    {
      hint: 'Nothing was changed. See whether its permissions allow both to encrypt and to decrypt.',
    },
  );
}
