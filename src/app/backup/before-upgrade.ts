/**
 * The backup before the schema is changed: of a database that an older program has made, in the schema that it has, with the
 * rows and the settings that every schema had. Its proof takes the pending steps on a copy, so that one that cannot be taken is
 * found there.
 */
import path from 'node:path';
import { systemClock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { createAlone } from '../../ops/backup/create.ts';
import {
  type CreateProgress,
  type CreateReport,
  createFailure,
  isProven,
} from '../../ops/backup/create-report.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { KeyCustody } from '../keys.ts';
import { openOnlooker, openStore } from '../open-store.ts';
import { makeBackupDesk } from './desk.ts';
import { chosenEncryption } from './identity.ts';

export interface UpgradeParts {
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Whether there is anybody whom a backup of this database could be for; writes nothing. */
export async function canBackUp(config: Config): Promise<boolean> {
  const onlooker = await openOnlooker(storageChoice(config));
  try {
    return (await chosenEncryption(config, onlooker.store)) !== undefined;
  } finally {
    await onlooker.close();
  }
}

/**
 * Makes it, and takes it away again where it did not pass. The caller has the turn to migrate: nobody else makes one here.
 * @param step the first that the database lacks
 * Failures: `refused` when it cannot be made or did not pass, `interrupted`.
 */
export async function backUpOldSchema(
  config: Config,
  step: number,
  { log, signal }: UpgradeParts,
): Promise<CreateReport> {
  // Not in the recovery log, which ends with this schema in any case.
  const store = await openStore(storageChoice(config), log);
  const [clock, random] = [systemClock, systemRandom];
  const ids = makeIds(clock, random);
  const custody = new KeyCustody(config, { store, clock, random, ids, log });
  try {
    // What an audit event is, every schema says anew. The log tells of it.
    const audit = { record: async () => undefined };
    const desk = makeBackupDesk({ config, store, audit, clock, random, ids, log, custody });
    // Beside that of a server of the version before, which serves on meanwhile.
    return await makeProven({ ...desk, audit, spool: path.join(desk.spool, 'upgrade') }, step, {
      log,
      signal,
    });
  } finally {
    custody.close();
    await store.close();
  }
}

async function makeProven(
  desk: BackupDesk,
  step: number,
  { log, signal }: UpgradeParts,
): Promise<CreateReport> {
  const request = { target: null, tags: [`before-migrate-${step}`], plaintext: false, verify: true };
  const caller = { actor: 'system', ip: null } as const;
  const report = await createAlone(desk, request, { signal, progress: tellSteps(log) }, caller).catch(
    (error: unknown) => {
      throw asRefusal(error);
    },
  );
  const failure = createFailure(report);
  if (isProven(report)) {
    // The upgrade need not wait until a second target is mended.
    if (failure) log.warn({ hint: failure.hint }, failure.message);
    return report;
  }
  // A server that is started again and again would fill the targets with what counts for nothing.
  if (report.id !== null) await withdraw(desk, report.id);
  throw notProven(report, failure);
}

async function withdraw(desk: BackupDesk, id: string): Promise<void> {
  for (const { target } of await desk.places()) {
    // Where this program may not delete it stays, unproven.
    await target.remove(id).catch(() => undefined);
  }
}

function notProven({ proof, not_proven }: CreateReport, failure: Failure | undefined): Failure {
  const findings = proof?.findings.join('; ') ?? '';
  if (findings !== '') {
    return new Failure(
      'refused',
      `The backup did not pass when it was restored and brought to this schema, so nothing was changed: ${findings}.`,
      {
        hint: 'The same would have happened to the database. Go on with the version that ran before; `authserver doctor` of that version looks at this installation.',
      },
    );
  }
  const reason = not_proven ?? failure?.message ?? 'no target gave back what it was given';
  return new Failure('refused', `There is no proven backup, so nothing was changed: ${reason}`, {
    hint: 'Mend that, then run `authserver migrate` again; `authserver doctor` looks at the targets and the room.',
  });
}

function asRefusal(error: unknown): Failure {
  const { code, message, detail, hint } = asFailure(error);
  if (code === 'interrupted') {
    return new Failure('interrupted', 'Stopped while the backup was made; nothing was changed.', {
      hint: 'Run `authserver migrate` again.',
      cause: error,
    });
  }
  return new Failure('refused', `No backup could be made, so nothing was changed: ${message}`, {
    ...(detail !== undefined && { detail }),
    hint: hint ?? 'Mend that, then run `authserver migrate` again.',
    cause: error,
  });
}

/** A line of the log for each thing that is begun: on a large database each takes its time. */
function tellSteps(log: Log): (progress: CreateProgress) => void {
  let told = '';
  return ({ step, what }) => {
    if (`${step} ${what}` === told) return;
    told = `${step} ${what}`;
    log.info({ step, what }, 'backing up before the schema is changed');
  };
}
