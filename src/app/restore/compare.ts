/** Whether a database holds what was read for it. */
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { digestTables, type TableTotal } from '../../store/snapshot.ts';
import type { StorageChoice } from '../open-store.ts';
import { readSnapshot } from '../snapshots.ts';

/** Failures: `failed` for the first table that is another; `interrupted`. */
export async function compareRows(
  staged: StorageChoice,
  totals: readonly TableTotal[],
  parts: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  await using snapshot = await readSnapshot(staged, parts);
  const found = new Map((await digestTables(snapshot)).map((total) => [total.table, total]));
  for (const { table, rows, digest } of totals) {
    const total = found.get(table);
    if (total?.digest === digest && total.rows === rows) continue;
    throw new Failure('failed', `What was staged of ${table} is not what was read.`, {
      detail: `${total?.rows ?? 'no'} rows instead of ${rows}`,
      hint: 'Nothing was changed. The disk or the database engine does not keep what is written: look at its log before you try again.',
    });
  }
}
