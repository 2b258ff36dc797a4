/** A backup opened for reading, beside whatever runs: nothing of the live database is touched. */
import type { OpenArchive } from '../../archive/reader.ts';
import { systemClock } from '../../kernel/clock.ts';
import type { SnapshotPart } from '../../store/snapshot.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { Files } from '../restore/files.ts';
import { type KeyRequest, keysAtHand } from '../restore/keys-at-hand.ts';
import { readPresent } from '../restore/present.ts';
import { openReadable } from '../restore/readable.ts';
import { findSource } from '../restore/source.ts';

/** The newest backup that was proven. */
export const LATEST = 'latest';

export interface BackupRequest extends KeyRequest {
  /** An id, the path of an archive, or `latest` for the newest that was proven. */
  readonly backup: string;
  /** Only on this target. */
  readonly target: string | undefined;
}

/**
 * Opens it as far as its first entry. Failures: `not_found`, `invalid_input`, `configuration`, `unavailable`; `refused` when
 * nothing at hand opens it, it is damaged, signed by nobody who is trusted, or of a newer version.
 */
export async function openBackup(
  config: Config,
  request: BackupRequest,
  signal: AbortSignal,
): Promise<OpenArchive> {
  const files = new Files();
  const keys = await keysAtHand(config, request, await readPresent(files, storageChoice(config)));
  const { backup, target } = request;
  const source = await findSource(files, config, systemClock, {
    backup: backup === LATEST ? undefined : backup,
    target,
    until: undefined,
    // One that is named may be one that was never proven: what is read is held to its signed manifest all the same.
    unverified: false,
    deploymentId: keys.deploymentId,
    trust: keys.trust,
    distrusted: keys.distrusted,
  });
  const record = source.entry?.record;
  return openReadable(source, {
    ...{ identities: keys.identities, passphrases: keys.passphrases, trust: source.trust, signal },
    ...(record && { file: record.file, id: record.id, deploymentId: record.deployment_id }),
  });
}

/** The rows of an archive; the keys and settings that follow them are passed over, but read. */
export async function* rowsOf(archive: OpenArchive): AsyncGenerator<SnapshotPart, void> {
  for await (const part of archive.parts) if (part.kind === 'rows' || part.kind === 'total') yield part;
}
