/** A backup opened for reading, beside whatever runs: nothing of the live database is touched. */
import { CannotRead } from '../../archive/format.ts';
import { type OpenArchive, openArchive, type ReadOptions } from '../../archive/reader.ts';
import { systemClock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { stepsUpTo } from '../../store/migrations/timeline.ts';
import type { SnapshotPart } from '../../store/snapshot.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { Files } from '../restore/files.ts';
import { type KeyRequest, keysAtHand } from '../restore/keys-at-hand.ts';
import { readPresent } from '../restore/present.ts';
import { findSource, type Source } from '../restore/source.ts';

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
  const keys = await keysAtHand(config, request);
  const { signers } = await readPresent(files, storageChoice(config));
  const trust = [...new Set([...keys.trust, ...signers])];
  const { backup, target } = request;
  const source = await findSource(files, config, systemClock, {
    backup: backup === LATEST ? undefined : backup,
    target,
    until: undefined,
    // One that is named may be one that was never proven: what is read is held to its signed manifest all the same.
    unverified: false,
    deploymentId: keys.deploymentId,
    trust,
  });
  const record = source.entry?.record;
  return openReadable(source, {
    ...{ identities: keys.identities, passphrases: keys.passphrases, trust, signal },
    ...(record && { file: record.file, id: record.id, deploymentId: record.deployment_id }),
  });
}

/** An archive that opens, in a schema that this version knows. Failures: as `openBackup`. */
async function openReadable(source: Source, reading: ReadOptions): Promise<OpenArchive> {
  try {
    const archive = await openArchive(source.open(reading.signal), reading);
    stepsUpTo(archive.format.schema);
    return archive;
  } catch (error) {
    if (!(error instanceof CannotRead)) throw error;
    const recipients = source.entry?.record?.encryption.recipients ?? [];
    const names = recipients.length > 0 ? ` It is encrypted to: ${recipients.join(', ')}.` : '';
    const hasKey = [...(reading.identities ?? []), ...(reading.passphrases ?? [])].length > 0;
    throw new Failure('refused', `${error.message}${names}`, {
      detail: source.place,
      hint:
        hasKey || error.message.includes('passphrase')
          ? (error.hint ?? '')
          : 'Give the recovery sheet that the first start has printed: --recovery-key FILE (or AUTHSERVER_RECOVERY_KEY_FILE).',
      cause: error,
    });
  }
}

/** The rows of an archive; the keys and settings that follow them are passed over, but read. */
export async function* rowsOf(archive: OpenArchive): AsyncGenerator<SnapshotPart, void> {
  for await (const part of archive.parts) if (part.kind === 'rows' || part.kind === 'total') yield part;
}
