/** The way of an archive into an empty database: on the schema of whoever made it, then up to this program's. */
import type { Manifest } from '../archive/manifest.ts';
import type { ArchivePart, OpenArchive } from '../archive/reader.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Random } from '../kernel/random.ts';
import { stepsUpTo } from '../store/migrations/timeline.ts';
import type { SnapshotPart, TableTotal } from '../store/snapshot.ts';
import { migrateSchema, type StorageChoice } from './open-store.ts';
import { loadSnapshot } from './snapshots.ts';

/** What an archive holds besides rows, once all of it has been read and checked. */
export interface Unpacked {
  readonly manifest: Manifest;
  /** Private keys of a file store. */
  readonly keys: readonly { readonly name: string; readonly text: string }[];
  /** JSON. */
  readonly config: string;
  /** Of the rows that were put in, before the schema went on. */
  readonly totals: readonly TableTotal[];
}

interface UnpackParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

/**
 * Fills an empty database with the rows of an archive, in the schema that they had; `migrateSchema` takes it further.
 * Failures: `refused` when the archive is damaged or of a newer program, or the database is not empty; `invalid_input`,
 * `unavailable`, `interrupted`. What is left then is no database to be used.
 */
export async function unpackInto(
  storage: StorageChoice,
  archive: OpenArchive,
  { clock, random, signal }: UnpackParts,
): Promise<Unpacked> {
  const steps = archive.format.schema;
  await migrateSchema(storage, {
    clock,
    random,
    timeline: stepsUpTo(steps),
    ...(signal && { stop: signal }),
  });
  const rest = new Rest();
  const parts = rest.sift(archive.parts);
  const totals = await loadSnapshot(storage, { steps, parts, ...(signal && { signal }) });
  return { manifest: archive.manifest(), keys: rest.keys, config: rest.config, totals };
}

/** Lets rows pass, and keeps what comes after them. */
class Rest {
  readonly keys: { readonly name: string; readonly text: string }[] = [];
  config = '';

  async *sift(parts: AsyncIterable<ArchivePart>): AsyncGenerator<SnapshotPart> {
    for await (const part of parts) {
      if (part.kind === 'key') this.keys.push({ name: part.name, text: part.text });
      else if (part.kind === 'config') this.config = part.text;
      else yield part;
    }
  }
}
