/** The way of an installation into the copy that a drill breaks. The installation is only read. */
import path from 'node:path';
import type { OpenArchive } from '../../archive/reader.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { Ground } from '../../ops/drill/ground.ts';
import type { DrillProgress, Prepared } from '../../ops/drill/run.ts';
import { openSigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { Files } from '../restore/files.ts';
import { sizeOfDatabase } from '../restore/staging.ts';
import { openScratch, scratchParent } from '../scratch.ts';
import { prepareStateDir } from '../state-dir.ts';
import { type Copy, copyStateDir, layDown } from './copy.ts';
import { groundOf } from './ground.ts';
import { openNewest, packFresh, type RecoveryKey } from './origin.ts';

export interface PrepareParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Undefined for a copy of the present state. */
  readonly key: RecoveryKey | undefined;
  /** Another ground than the honest one, for tests. */
  readonly sabotage?: (ground: Ground, copy: Copy) => Ground;
}

/** Failures: those of `packFresh`, `openNewest` and `layDown`; `configuration` when there can be no scratch place. */
export async function prepareCopy(
  config: Config,
  parts: PrepareParts,
  watch: Watch<Pick<DrillProgress, 'step'>>,
): Promise<Prepared> {
  await using undo = new AsyncDisposableStack();
  const { random, key, sabotage = (ground) => ground } = parts;
  const choice = storageChoice(config);
  await checkRoom(config);
  const scratch = undo.use(await openScratch(choice, scratchParent(config)));
  const stateDir = copyStateDir(scratch);
  prepareStateDir(stateDir);
  const signer = openSigningKey(stateDir, random);
  const file = path.join(scratch.folder, 'origin');
  await using archive: OpenArchive = key
    ? await openNewest(config, key, watch.signal)
    : await packFresh(config, { ...parts, signer, file, watch });
  const { id, made_at, deployment_id } = archive.format;
  const quiet = { ...parts, log: muffled(parts.log), signal: watch.signal };
  const copy = await layDown(config, { scratch, archive, signer }, quiet);
  const opened = undo.move();
  return {
    ground: sabotage(
      groundOf(copy, () => opened.disposeAsync()),
      copy,
    ),
    deploymentId: deployment_id,
    engine: choice.driver,
    source: { backup: key ? id : null, made_at },
  };
}

/** The copy, its backups, and beside them what a restore stages and keeps. */
const TIMES = 5;

/** A rehearsal must not fill the disk that the server writes to. On PostgreSQL only the archives are on this one. */
async function checkRoom(config: Config): Promise<void> {
  const files = new Files();
  const choice = storageChoice(config);
  const size = choice.driver === 'sqlite' ? await sizeOfDatabase(files, choice.sqlite.path) : 0;
  const [needed, free] = [TIMES * size, await files.free(config.state_dir)];
  if (free >= needed) return;
  const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  throw new Failure('unavailable', `There is too little room for a copy in ${config.state_dir}.`, {
    detail: `${mib(needed)} are needed for a while, ${mib(free)} are free`,
    hint: 'Make room there; `authserver restore forget` lets go of what an earlier restore has kept.',
  });
}

/** What a copy goes through is no news of the live server. */
function muffled(log: Log): Log {
  const quiet: Log['debug'] = (fields, message) => log.debug({ ...fields, drill: true }, message);
  return { debug: quiet, info: quiet, warn: quiet, error: quiet };
}
