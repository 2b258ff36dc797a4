/** What `migrate`, and `serve` where it may, keep of a database before they change its schema, and the way back to it. */
import { rm } from 'node:fs/promises';
import { asFailure, Failure } from '../kernel/errors.ts';
import type { Log } from '../kernel/log.ts';
import type { CreateReport } from '../ops/backup/create-report.ts';
import type { BackupByHand, BeforeUpgrade, KeptBefore, ProvenBackup, UndoStep } from '../ops/migrate.ts';
import { backUpOldSchema, canBackUp } from './backup/before-upgrade.ts';
import type { Config } from './config.ts';
import { storageChoice } from './database.ts';
import type { StorageChoice } from './open-store.ts';

const STOP: UndoStep = {
  say: 'Stop the server, and every instance of it, in the way that you start it (systemctl stop authserver, docker compose stop, ...).',
  command: null,
};
const OLD_VERSION: UndoStep = {
  say: 'Install the version that ran before.',
  command: null,
};
const START: UndoStep = {
  say: 'Start it. What was written since the upgrade is gone.',
  command: null,
};

/** A backup on the targets, restored and tried; on SQLite also a copy beside the database, which opens without any key. */
export function backupBefore(config: Config, parts: { log: Log; signal: AbortSignal }): ProvenBackup {
  const storage = storageChoice(config);
  const database = storage.driver === 'sqlite' ? storage.sqlite.path : undefined;
  return {
    async intent(before) {
      const backup = (await canBackUp(config))
        ? `A backup is made first, with the tag before-migrate-${before.step}, restored beside the database, and brought to this schema there; only when that passes are the steps taken.`
        : noKey(storage);
      return database === undefined
        ? backup
        : `${backup} The database is copied to ${copyName(database, before)} as well, and the copy is compared with it.`;
    },
    async make(before) {
      const canMake = await canBackUp(config);
      if (!canMake && database === undefined) {
        throw new Failure('refused', 'The database holds data, and there is no proven backup of it.', {
          hint: noKey(storage),
        });
      }
      const report = canMake ? await backUp(config, before, parts) : undefined;
      if (!report) parts.log.warn({}, noKey(storage));
      const copy = database === undefined ? null : await copyOf(database, before);
      return {
        kept: keptOf(report, copy),
        undo: undoOf({ config, database, report, copy }),
        async discard() {
          // The database is that state still, or again.
          if (copy) await rm(copy.file, { force: true });
        },
      };
    },
  };
}

/** Where an older program has made no recovery key, and the settings name nobody else. */
function noKey(storage: StorageChoice): string {
  const none = 'There is no recovery key yet that a backup could be encrypted to';
  if (storage.driver === 'sqlite') return `${none}: the first start of this version makes it.`;
  return `${none}. Name somebody: set backup.recipients to the public half of an age identity of yours, and run the command again. ${onYourOwn(storage)}`;
}

async function backUp(
  config: Config,
  { step }: BeforeUpgrade,
  parts: { log: Log; signal: AbortSignal },
): Promise<CreateReport> {
  try {
    return await backUpOldSchema(config, step, parts);
  } catch (error) {
    const { code, message, detail, hint } = asFailure(error);
    if (code !== 'refused') throw error;
    throw new Failure(code, message, {
      ...(detail !== undefined && { detail }),
      hint: `${hint} ${onYourOwn(storageChoice(config))}`,
      cause: error,
    });
  }
}

function onYourOwn(storage: StorageChoice): string {
  return `Or on your own: ${backupByHand(storage).hint}`;
}

function keptOf(report: CreateReport | undefined, copy: KeptBefore['copy']): KeptBefore {
  if (!report?.proof) return { id: null, targets: [], proof: null, copy };
  const { id, rows, proof, targets } = report;
  return {
    id,
    targets: targets.filter(({ outcome }) => outcome === 'verified').map(({ target }) => target),
    proof: `${rows} rows, restored in ${proof.rto_ms} ms, brought to this schema, and served to a client`,
    copy,
  };
}

/** The file that a database is copied to before a step is taken; with a number behind where an earlier copy has the name. */
function copyName(database: string, { step }: BeforeUpgrade): string {
  return `${database}.before-${step}`;
}

async function copyOf(database: string, before: BeforeUpgrade): Promise<NonNullable<KeptBefore['copy']>> {
  const { copyDatabase } = await import('../store/sqlite/copy.ts');
  const target = copyName(database, before);
  try {
    const { file, rows, tables } = copyDatabase(database, target);
    return { file, proof: `integrity checked, ${rows} rows in ${tables} tables as in the database` };
  } catch (cause) {
    throw new Failure('refused', `The database could not be copied to ${target}, so nothing was changed.`, {
      detail: cause instanceof Error ? cause.message : String(cause),
      hint: `Make room beside ${database} for a second copy of it. Or copy it elsewhere yourself while no server runs, then run \`authserver migrate --no-backup\`.`,
      cause,
    });
  }
}

interface Kept {
  readonly config: Config;
  readonly database: string | undefined;
  readonly report: CreateReport | undefined;
  readonly copy: KeptBefore['copy'];
}

function undoOf({ database, report, copy }: Kept): readonly UndoStep[] {
  const putBack = database !== undefined && copy ? copyBack(database, copy.file) : undefined;
  const steps = [STOP, OLD_VERSION];
  if (!report) return [...steps, ...(putBack ? [putBack] : []), START];
  const opens = report.encryption?.kind === 'age' ? ' --recovery-key FILE' : '';
  return [
    ...steps,
    {
      say: 'Have it bring the backup back; what was revoked since the upgrade stays revoked. FILE is your recovery sheet.',
      command: `authserver restore ${report.id}${opens}`,
      ...(putBack && {
        instead: {
          say: `Or, where the recovery key is not at hand: put the copy back. ${putBack.say} What was revoked since the upgrade is not any more: revoke it again.`,
          command: putBack.command,
        },
      }),
    },
    START,
  ];
}

function copyBack(database: string, file: string): { readonly say: string; readonly command: string } {
  const copy = quoted(file);
  // A rollback journal too: SQLite would play it back into whatever lies in the place of its database.
  const sidecars = ['-wal', '-shm', '-journal'].map((suffix) => quoted(database + suffix)).join(' ');
  return {
    say: 'The log or journal beside the database belongs to the newer state and goes with it.',
    command: `test -f ${copy} && rm -f ${sidecars} && mv ${copy} ${quoted(database)}`,
  };
}

/** How to make a backup, and to bring it back, where `--no-backup` is said. */
export function backupByHand(storage: StorageChoice): BackupByHand {
  return storage.driver === 'sqlite' ? copyByHand(storage.sqlite.path) : dumpByHand;
}

function copyByHand(database: string): BackupByHand {
  return {
    hint: `While no server runs, copy ${database} together with what lies beside it as ${database}-wal or ${database}-journal, then run \`authserver migrate --no-backup\`.`,
    undo: () => [
      STOP,
      {
        say: `No copy was made. Put the one that you made yourself in the place of ${database}; remove ${database}-wal, ${database}-shm and ${database}-journal before you do.`,
        command: null,
      },
      OLD_VERSION,
      START,
    ],
  };
}

/** The setting's name stands for its value, which holds a password. */
const DSN = '"$AUTHSERVER_STORAGE_POSTGRES_DSN"';
const DUMP = 'authserver-before-upgrade';

const dumpByHand: BackupByHand = {
  hint: `Make a dump with the tools of your PostgreSQL version, \`pg_dump --format=custom --file=${DUMP}.dump ${DSN}\`, then run \`authserver migrate --no-backup\`.`,
  undo: ({ schema }) => [
    STOP,
    {
      say: `Read the dump that you made before to its end; it is ${DUMP}.dump if you made it as \`authserver migrate\` says.`,
      command: `pg_restore --no-owner --schema=${quoted(schema)} --file=${DUMP}.sql ${DUMP}.dump`,
    },
    {
      say: 'Put it in the place of what is there, in one transaction, with everything that the steps made.',
      command: `{ echo ${quoted(`drop schema ${named(schema)} cascade; create schema ${named(schema)};`)}; cat ${DUMP}.sql; } | psql --quiet --single-transaction --set ON_ERROR_STOP=1 ${DSN}`,
    },
    OLD_VERSION,
    START,
  ],
};

/** A name as SQL has it. */
function named(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** A word of a shell's command line. */
function quoted(word: string): string {
  return /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
