/**
 * Replaces what seals the database, while it is in use: every data key is wrapped by the present master key and, where that
 * is asked for, every row is sealed under a new data key. Each row is written only where it still is what was read, so a
 * run may be killed and repeated, and two may run at once: the end is the same. A proof ends it.
 */
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { DataKeyStore } from '../../store/store.ts';
import type { DataKeys } from './data-keys.ts';
import type { SealedRow, SealedRows } from './sealed-rows.ts';
import { dataKeyOf } from './sealing.ts';

export interface ReencryptParts {
  readonly store: DataKeyStore;
  readonly dataKeys: DataKeys;
  readonly tables: readonly SealedRows[];
}

export interface ReencryptProgress {
  readonly step: 'wrapping data keys' | 'sealing rows' | 'proving';
  readonly done: number;
  readonly total: number;
}

export interface ReencryptReport {
  readonly master_key_id: string;
  readonly data_keys: {
    readonly total: number;
    readonly rewrapped: number;
    readonly made: number;
    readonly removed: number;
  };
  readonly rows: { readonly total: number; readonly resealed: number };
  /** What each master key wraps. */
  readonly by_master_key: readonly {
    readonly master_key_id: string;
    readonly data_keys: number;
    readonly rows: number;
  }[];
  readonly by_data_key: readonly { readonly data_key_id: string; readonly rows: number }[];
  /** Rows that no key at hand opens. */
  readonly unreadable: readonly { readonly table: string; readonly id: string; readonly problem: string }[];
  /** Every row has been opened, by way of the present master key alone. */
  readonly proven: boolean;
  /** Master keys of the settings that nothing needs any longer; empty unless `proven`. */
  readonly removable: readonly { readonly master_key_id: string; readonly source: string }[];
}

const BATCH = 100;
/** Other processes may seal rows under the former data key until they have seen the new one. */
const PASSES = 5;

/**
 * @param newDataKey whether every row is to be sealed under a new data key too
 * Failures: `configuration` when a data key does not open: nothing is changed then; `interrupted` between two rows; `conflict`
 * when others keep sealing under former data keys
 */
export async function reencrypt(
  parts: ReencryptParts,
  { newDataKey }: { newDataKey: boolean },
  watch: Watch<ReencryptProgress>,
): Promise<ReencryptReport> {
  await parts.dataKeys.openAll();
  const made = newDataKey && (await makeDataKey(parts)) ? 1 : 0;
  const rewrapped = await rewrapAll(parts, watch);
  const resealed = newDataKey ? await resealAll(parts, watch) : 0;
  const removed = newDataKey ? await removeUnused(parts) : 0;
  const proof = await prove(parts, watch);
  return {
    master_key_id: parts.dataKeys.masters.current.id,
    data_keys: { total: proof.dataKeys, rewrapped, made, removed },
    rows: { total: proof.rows, resealed },
    ...proof.found,
  };
}

/** A run that was cut off is taken up: then the newest data key is the one that it has made. */
async function makeDataKey({ store, dataKeys, tables }: ReencryptParts): Promise<boolean> {
  const [newest] = await store.list({});
  const used = await countRows(tables);
  const unfinished = [...used.keys()].some((id) => id !== newest?.id);
  return !unfinished && (await dataKeys.add(newest?.id ?? null));
}

async function rewrapAll(
  { store, dataKeys }: ReencryptParts,
  watch: Watch<ReencryptProgress>,
): Promise<number> {
  const { current } = dataKeys.masters;
  const rows = await store.list({});
  const due = rows.filter((row) => row.master_key_id !== current.id || current.versioned);
  let rewrapped = 0;
  for (const [index, row] of due.entries()) {
    stopWhere(watch.signal);
    if (await dataKeys.rewrap(row)) rewrapped += 1;
    watch.progress({ step: 'wrapping data keys', done: index + 1, total: due.length });
  }
  return rewrapped;
}

async function resealAll(parts: ReencryptParts, watch: Watch<ReencryptProgress>): Promise<number> {
  let resealed = 0;
  for (let pass = 0; pass < PASSES; pass++) {
    const [newest] = await parts.store.list({});
    const used = await countRows(parts.tables);
    const due = sum([...used].filter(([id]) => id !== newest?.id).map(([, rows]) => rows));
    if (newest === undefined || due === 0) return resealed;
    for (const table of parts.tables) {
      for await (const row of everyRow(table, watch.signal)) {
        if (dataKeyOf(row.sealed) === newest.id) continue;
        const text = await parts.dataKeys.unseal(table.place(row.id), row.sealed);
        const { sealed, data_key_id } = await parts.dataKeys.seal(table.place(row.id), text);
        if (await table.reseal(row, sealed, data_key_id)) resealed += 1;
        watch.progress({ step: 'sealing rows', done: resealed, total: Math.max(resealed, due) });
      }
    }
  }
  throw new Failure('conflict', 'Other processes keep sealing rows under former data keys.', {
    hint: 'Run the command again. What was done stays done.',
  });
}

/** Former data keys go as soon as nothing is sealed under them. */
async function removeUnused({ store }: ReencryptParts): Promise<number> {
  const [, ...former] = await store.list({});
  let removed = 0;
  for (const { id } of former) {
    if ((await store.removeUnused({ id })).outcome === 'removed') removed += 1;
  }
  return removed;
}

interface Proof {
  readonly dataKeys: number;
  readonly rows: number;
  readonly found: Pick<
    ReencryptReport,
    'by_master_key' | 'by_data_key' | 'unreadable' | 'proven' | 'removable'
  >;
}

/** Opens every data key and every row once more, from what is in the database now. */
async function prove(parts: ReencryptParts, watch: Watch<ReencryptProgress>): Promise<Proof> {
  const { store, dataKeys, tables } = parts;
  const { current, all } = dataKeys.masters;
  const keys = await store.list({});
  for (const row of keys) await dataKeys.prove(row);
  const masterOf = new Map(keys.map(({ id, master_key_id }) => [id, master_key_id]));
  const total = sum([...(await countRows(tables)).values()]);
  const byDataKey = new Map(keys.map(({ id }) => [id, 0]));
  const unreadable: { table: string; id: string; problem: string }[] = [];
  let done = 0;
  for (const table of tables) {
    for await (const row of everyRow(table, watch.signal)) {
      const id = dataKeyOf(row.sealed) ?? '';
      byDataKey.set(id, (byDataKey.get(id) ?? 0) + 1);
      await dataKeys.unseal(table.place(row.id), row.sealed).catch((error: unknown) => {
        unreadable.push({ table: table.table, id: row.id, problem: asFailure(error).message });
      });
      done += 1;
      watch.progress({ step: 'proving', done, total: Math.max(done, total) });
    }
  }
  const proven = unreadable.length === 0 && keys.every((row) => row.master_key_id === current.id);
  return {
    dataKeys: keys.length,
    rows: done,
    found: {
      by_master_key: [...new Set(masterOf.values())].map((master_key_id) => {
        const ids = [...masterOf].filter(([, master]) => master === master_key_id).map(([id]) => id);
        const rows = sum(ids.map((id) => byDataKey.get(id) ?? 0));
        return { master_key_id, data_keys: ids.length, rows };
      }),
      by_data_key: [...byDataKey].map(([data_key_id, rows]) => ({ data_key_id, rows })),
      unreadable,
      proven,
      removable: proven
        ? all.flatMap(({ id, source }) => (id === current.id ? [] : [{ master_key_id: id, source }]))
        : [],
    },
  };
}

async function* everyRow(table: SealedRows, signal: AbortSignal): AsyncGenerator<SealedRow> {
  for (let after = ''; ; ) {
    const page = await table.page(after, BATCH);
    for (const row of page) {
      stopWhere(signal);
      yield row;
    }
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

async function countRows(tables: readonly SealedRows[]): Promise<Map<string, number>> {
  const counted = new Map<string, number>();
  for (const table of tables) {
    for (const [id, rows] of await table.count()) counted.set(id, (counted.get(id) ?? 0) + rows);
  }
  return counted;
}

function stopWhere(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new Failure('interrupted', 'Stopped between two rows.', {
    hint: 'Run the command again: it goes on where it was. The former master key is still needed.',
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
