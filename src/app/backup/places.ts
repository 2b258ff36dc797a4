/** The backup targets of the settings, opened. Nothing is asked of them yet. */
import type { RetentionPolicy } from '../../archive/retention.ts';
import { Folder } from '../../archive/targets/folder.ts';
import type { Shelf } from '../../archive/targets/shelf.ts';
import { makeTarget } from '../../archive/targets/target.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { BackupPlace } from '../../ops/backup/place.ts';
import { type BucketTarget, readTarget, type TargetChoice } from '../config/backup-target.ts';
import type { Config } from '../config.ts';

export type { BackupPlace } from '../../ops/backup/place.ts';

/**
 * The targets of the settings, or only the named one.
 * Failures: `invalid_input` when none is called so.
 */
export async function openPlaces(
  config: Pick<Config, 'backup'>,
  clock: Clock,
  only?: string,
): Promise<readonly BackupPlace[]> {
  const choices = targetChoices(config).filter(({ name }) => only === undefined || name === only);
  if (choices.length === 0) {
    const names = targetChoices(config).map(({ name }) => name);
    throw new Failure('invalid_input', `There is no backup target "${only}".`, {
      hint: `The settings (backup.targets) have: ${names.join(', ')}.`,
    });
  }
  return Promise.all(choices.map((choice) => openPlace(config, choice, clock)));
}

function targetChoices({ backup }: Pick<Config, 'backup'>): readonly TargetChoice[] {
  return backup.targets.map((text) => {
    const read = readTarget(text);
    // The settings have been read before.
    if ('problem' in read) throw new TypeError(read.problem);
    return read.target;
  });
}

async function openPlace(
  { backup }: Pick<Config, 'backup'>,
  choice: TargetChoice,
  clock: Clock,
): Promise<BackupPlace> {
  const shelf: Shelf =
    choice.kind === 'folder'
      ? new Folder({ folder: choice.folder, random: systemRandom })
      : await openBucketShelf(choice, clock);
  const policy: RetentionPolicy = { keep: choice.keep ?? backup.keep, minimum: backup.minimum };
  return { target: makeTarget(choice.name, shelf), shelf, policy };
}

async function openBucketShelf(choice: BucketTarget, clock: Clock): Promise<Shelf> {
  const { bucket, prefix, region, endpoint, pathStyle, storageClass, lock, partSize } = choice;
  // The client is large, and most installations have no bucket.
  const { openBucket } = await import('../../archive/targets/s3.ts');
  return openBucket(
    {
      bucket,
      prefix,
      region,
      pathStyle,
      ...(endpoint !== undefined && { endpoint }),
      ...(storageClass !== undefined && { storageClass }),
      ...(lock && { lock }),
      ...(partSize !== undefined && { partSize }),
    },
    clock,
  );
}
