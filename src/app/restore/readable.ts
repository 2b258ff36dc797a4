/** The archive behind a source, opened as far as its first entry: enough to know that it opens, and is not of a newer version. */
import { NO_IDENTITY } from '../../archive/age.ts';
import { CannotRead } from '../../archive/format.ts';
import { type OpenArchive, openArchive, type ReadOptions } from '../../archive/reader.ts';
import { Failure } from '../../kernel/errors.ts';
import { stepsUpTo } from '../../store/migrations/timeline.ts';
import type { Source } from './source.ts';

/** Failures: `unavailable`, `interrupted`; `refused` when nothing at hand opens it, it is damaged, or of a newer version. */
export async function openReadable(source: Source, reading: ReadOptions): Promise<OpenArchive> {
  await using undo = new AsyncDisposableStack();
  try {
    const archive = undo.use(await openArchive(source.open(reading.signal), reading));
    stepsUpTo(archive.format.schema);
    undo.move();
    return archive;
  } catch (error) {
    if (!(error instanceof CannotRead)) throw error;
    const isLocked = error.message === NO_IDENTITY;
    const recipients = (isLocked && source.entry?.record?.encryption.recipients) || [];
    const names = recipients.length > 0 ? ` It is encrypted to: ${recipients.join(', ')}.` : '';
    const hasKey = (reading.identities ?? []).length > 0;
    throw new Failure('refused', `${error.message}${names}`, {
      detail: source.place,
      hint:
        isLocked && !hasKey
          ? 'Give the recovery sheet that the first start has printed: --recovery-key FILE (or AUTHSERVER_RECOVERY_KEY_FILE).'
          : (error.hint ?? ''),
      cause: error,
    });
  }
}
