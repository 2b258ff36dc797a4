/** Whether what is sealed in the database opens with the master keys at hand. */
import { asFailure } from '../../kernel/errors.ts';
import type { DataKeys } from '../../keys/sealing/data-keys.ts';
import type { SealedRows } from '../../keys/sealing/sealed-rows.ts';
import { dataKeyOf } from '../../keys/sealing/sealing.ts';
import type { DataKeyRecord } from '../../store/records.ts';
import type { Findings } from './proof.ts';

export interface SealedParts {
  readonly rows: readonly DataKeyRecord[];
  /** Undefined where no master key is at hand. */
  readonly dataKeys: DataKeys | undefined;
  readonly tables: readonly SealedRows[];
  /** Called between pages, so that others get their turn; throws when the work is to stop. */
  readonly pause: () => Promise<void>;
}

const PAGE = 100;

/**
 * Opens every data key and every sealed row that a master key at hand is good for. Answers true when all of them opened:
 * only then can a server with these settings start on the database.
 */
export async function checkSealed(parts: SealedParts, findings: Findings): Promise<boolean> {
  const { rows, dataKeys, tables, pause } = parts;
  const open = new Set<string>();
  const known = new Set(rows.map(({ id }) => id));
  for (const row of rows) {
    const isHere = dataKeys?.masters.all.some(({ id }) => id === row.master_key_id) ?? false;
    if (dataKeys === undefined || !isHere) {
      findings.note(
        `Some rows are sealed under the master key ${row.master_key_id}, which is not here: they were not opened.`,
      );
      continue;
    }
    const trouble = await failureOf(dataKeys.prove(row));
    if (trouble === undefined) open.add(row.id);
    else findings.add(`The data key ${row.id} does not open: ${trouble}`);
  }
  for (const table of tables) {
    for await (const { id, sealed } of everyRow(table, pause)) {
      const key = dataKeyOf(sealed);
      if (key === undefined) findings.add(`What is sealed in ${table.table} for ${id} is no sealed text.`);
      else if (!known.has(key))
        findings.add(`What is sealed in ${table.table} for ${id} needs the data key ${key}, which is gone.`);
      else if (dataKeys !== undefined && open.has(key)) {
        const trouble = await failureOf(dataKeys.unseal(table.place(id), sealed));
        if (trouble !== undefined) findings.add(trouble);
      }
    }
  }
  return open.size === rows.length;
}

async function* everyRow(table: SealedRows, pause: () => Promise<void>) {
  for (let after = ''; ; ) {
    await pause();
    const page = await table.page(after, PAGE);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

async function failureOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return asFailure(error).message;
  }
}
