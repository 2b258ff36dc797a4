/** A finished archive on its way to the targets, and back from them to be compared. */
import { createHash } from 'node:crypto';
import { recordOf } from '../../archive/catalog.ts';
import type { Signer } from '../../archive/signature.ts';
import type { ArchiveFile } from '../../archive/targets/target.ts';
import type { Written } from '../../archive/writer.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { BackupPlace } from './place.ts';

export interface FinishedArchive {
  readonly id: string;
  readonly written: Written;
  readonly isEncrypted: boolean;
  readonly signer: Signer;
  /** From its beginning, each time. */
  read(): AsyncIterable<Uint8Array>;
}

export type Published =
  | { readonly place: BackupPlace; readonly file: ArchiveFile; readonly reason: null }
  | { readonly place: BackupPlace; readonly file: null; readonly reason: string };

/**
 * Puts an archive on all targets side by side; one that fails keeps nobody from the others.
 * Failures: `interrupted`, and then it is on none of them any more.
 */
export async function publish(
  places: readonly BackupPlace[],
  archive: FinishedArchive,
  signal: AbortSignal,
  progress: (target: string, bytes: number) => void,
): Promise<readonly Published[]> {
  const all = await Promise.all(places.map((place) => publishOne(place, archive, signal, progress)));
  if (!signal.aborted) return all;
  for (const { place, file } of all) {
    // Where the server may not delete, a whole backup stays, which harms nobody.
    if (file) await place.target.remove(archive.id).catch(() => undefined);
  }
  throw new Failure('interrupted', 'The backup was stopped; nothing of it is left.');
}

async function publishOne(
  place: BackupPlace,
  { id, written, isEncrypted, signer, read }: FinishedArchive,
  signal: AbortSignal,
  progress: (target: string, bytes: number) => void,
): Promise<Published> {
  const { target } = place;
  try {
    const file = await target.put({
      id,
      isEncrypted,
      archive: counted(read(), (bytes) => progress(target.name, bytes)),
      record: (stored) => recordOf(written, stored, signer),
      signal,
    });
    return { place, file, reason: null };
  } catch (error) {
    const { message, hint } = asFailure(error);
    return { place, file: null, reason: hint === undefined ? message : `${message} ${hint}` };
  }
}

/** What a target gives back of what it was given. */
export type ReadBack = 'same' | 'other' | { readonly unread: string };

/** Reads a copy to its end. Failures: `interrupted`; a target that does not answer has given back nothing, and nothing wrong. */
export async function readBack(
  { target }: BackupPlace,
  id: string,
  { size, sha256 }: ArchiveFile,
  signal: AbortSignal,
): Promise<ReadBack> {
  const digest = createHash('sha256');
  let found = 0;
  try {
    for await (const bytes of target.open(await target.find(id), signal)) {
      digest.update(bytes);
      found += bytes.length;
    }
  } catch (error) {
    const { code, message } = asFailure(error);
    if (code === 'interrupted' || code === 'internal') throw error;
    return { unread: message };
  }
  return found === size && digest.digest('hex') === sha256 ? 'same' : 'other';
}

async function* counted(
  source: AsyncIterable<Uint8Array>,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  let sum = 0;
  for await (const bytes of source) {
    sum += bytes.length;
    tell(sum);
    yield bytes;
  }
}
