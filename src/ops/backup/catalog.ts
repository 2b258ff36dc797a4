/** What the targets hold, as far as it can be believed. A target that does not answer keeps nobody from the others. */
import { type CatalogEntry, nextSequence, readHolding } from '../../archive/catalog.ts';
import type { Trust } from '../../archive/signature.ts';
import type { TargetDescription } from '../../archive/targets/target.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { BackupPlace } from './place.ts';

export interface TargetCatalog {
  readonly place: BackupPlace;
  readonly description: TargetDescription;
  /** By id, so by sequence. */
  readonly entries: readonly CatalogEntry[];
  /** Why it could not be read to its end; then `entries` is not all there is. */
  readonly problem: string | null;
}

/** Reads all targets side by side. Failures: `interrupted`. @param after only ids that come after this */
export function readCatalogs(
  places: readonly BackupPlace[],
  trust: Trust,
  { after, signal }: { readonly after?: string; readonly signal?: AbortSignal } = {},
): Promise<readonly TargetCatalog[]> {
  const options = { ...(after !== undefined && { after }), ...(signal && { signal }) };
  return Promise.all(
    places.map(async (place) => {
      const entries: CatalogEntry[] = [];
      const description = place.target.describe();
      try {
        for await (const holding of place.target.list(options)) entries.push(readHolding(holding, trust));
        return { place, description, entries, problem: null };
      } catch (error) {
        const failure = asFailure(error);
        if (failure.code === 'interrupted' || failure.code === 'internal') throw error;
        return { place, description, entries, problem: failure.message };
      }
    }),
  );
}

/**
 * The sequence of the next backup: what is older than the last one that the deployment remembers need not be looked at.
 * @param remembered 0 when it remembers none
 */
export async function findSequence(
  places: readonly BackupPlace[],
  trust: Trust,
  { deploymentId, remembered, signal }: { deploymentId: string; remembered: number; signal: AbortSignal },
): Promise<number> {
  const after = String(remembered).padStart(8, '0');
  const catalogs = await readCatalogs(places, trust, { after, signal });
  return nextSequence(
    catalogs.flatMap(({ entries }) => entries),
    deploymentId,
    remembered,
  );
}

export interface FoundBackup {
  /** At least one. */
  readonly copies: readonly { readonly place: BackupPlace; readonly entry: CatalogEntry }[];
  /** Targets that may have it and did not answer, each with its reason. */
  readonly silent: readonly string[];
}

/** Every copy of one backup. Failures: `not_found`, `unavailable` when no target has it and one did not answer. */
export async function findBackup(
  places: readonly BackupPlace[],
  trust: Trust,
  id: string,
): Promise<FoundBackup> {
  const problems: Failure[] = [];
  const silent: string[] = [];
  const found: { place: BackupPlace; entry: CatalogEntry }[] = [];
  for (const place of places) {
    try {
      found.push({ place, entry: readHolding(await place.target.find(id), trust) });
    } catch (error) {
      const failure = asFailure(error);
      if (failure.code === 'invalid_input' || failure.code === 'internal') throw error;
      if (failure.code === 'not_found') continue;
      problems.push(failure);
      silent.push(`${place.target.name}: ${failure.message}`);
    }
  }
  if (found.length > 0) return { copies: found, silent };
  if (problems[0]) throw problems[0];
  throw noSuchBackup(id);
}

export function noSuchBackup(id: string): Failure {
  return new Failure('not_found', `There is no backup ${id}.`, {
    hint: '`authserver backup list` shows what there is.',
  });
}
