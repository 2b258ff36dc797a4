/** Backups on targets, for tests. */
import { archiveParts, HEAD, makeSigner } from '../archive.test-kit.ts';
import { recordOf } from '../catalog.ts';
import type { Signer } from '../signature.ts';
import { writeArchive } from '../writer.ts';
import type { ArchiveFile, Target } from './target.ts';

export const signer = makeSigner();

export function idOf(sequence: number): string {
  return `${String(sequence).padStart(8, '0')}-20261122T000439Z-k3f9`;
}

export interface Publishing {
  readonly signal?: AbortSignal;
  /** Instead of rows: so many bytes that do not shrink. */
  readonly ballast?: Buffer;
  readonly by?: Signer;
  readonly deploymentId?: string;
}

/** Puts a small backup there. */
export async function publish(
  target: Target,
  sequence: number,
  options: Publishing = {},
): Promise<ArchiveFile> {
  const { signal, ballast, by = signer, deploymentId = HEAD.deploymentId } = options;
  const id = idOf(sequence);
  const privateKeys = ballast ? [{ name: 'ballast', text: ballast.toString('base64') }] : [];
  const archive = writeArchive(
    archiveParts(by, {
      head: { ...HEAD, id, sequence, deploymentId, tables: [] },
      parts: [],
      tail: () => ({ privateKeys, publicKeys: [], neededKeys: [], config: '{}' }),
    }),
  );
  const record = (file: ArchiveFile) => recordOf(archive.written(), file, by);
  return target.put({ id, isEncrypted: false, archive, record, ...(signal && { signal }) });
}

export async function listed(target: Target, after?: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of target.list(after === undefined ? {} : { after })) ids.push(id);
  return ids;
}
