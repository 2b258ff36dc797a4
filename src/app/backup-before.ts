import { Failure } from '../kernel/errors.ts';
import type { BackupByHand, BeforeUpgrade, ProvenBackup, UndoStep } from '../ops/migrate.ts';
import type { StorageChoice } from './open-store.ts';

const STOP: UndoStep = {
  say: 'Stop the server, if it runs, in the way that you start it (systemctl stop authserver, docker compose stop, ...).',
  command: null,
};
const START: UndoStep = {
  say: 'Install the version that ran before, and start it. What was written since the upgrade is gone.',
  command: null,
};

/** What this program can do before it changes the schema; on PostgreSQL the dump is the operator's. */
export function backupBefore(storage: StorageChoice): ProvenBackup | undefined {
  return storage.driver === 'sqlite' ? copyOf(storage.sqlite.path) : undefined;
}

/** The file that a database is copied to before a step is taken; with a number behind where an earlier copy has the name. */
function copyName(database: string, { step }: BeforeUpgrade): string {
  return `${database}.before-${step}`;
}

function copyOf(database: string): ProvenBackup {
  return {
    intent: (before) =>
      `The database is copied to ${copyName(database, before)} first, and the copy is compared with it.`,
    async make(before) {
      const { copyDatabase } = await import('../store/sqlite/copy.ts');
      const target = copyName(database, before);
      try {
        const { file, rows, tables } = copyDatabase(database, target);
        return {
          file,
          proof: `integrity checked, ${rows} rows in ${tables} tables as in the database`,
          undo: undoOfCopy(database, file),
        };
      } catch (cause) {
        throw new Failure(
          'refused',
          `The database could not be copied to ${target}, so nothing was changed.`,
          {
            detail: cause instanceof Error ? cause.message : String(cause),
            hint: `Make room beside ${database} for a second copy of it. Or copy it elsewhere yourself while no server runs, then run \`authserver migrate --no-backup\`.`,
            cause,
          },
        );
      }
    },
  };
}

function undoOfCopy(database: string, file: string): readonly UndoStep[] {
  const copy = quoted(file);
  // A rollback journal too: SQLite would play it back into whatever lies in the place of its database.
  const sidecars = ['-wal', '-shm', '-journal'].map((suffix) => quoted(database + suffix)).join(' ');
  return [
    STOP,
    {
      say: 'Put the copy back. The log or journal beside the database belongs to the newer state and goes with it.',
      command: `test -f ${copy} && rm -f ${sidecars} && mv ${copy} ${quoted(database)}`,
    },
    START,
  ];
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
