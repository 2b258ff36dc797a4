import { statSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import { parseArchiveCommand, type Stanza } from '../../ops/point-in-time/configuration.ts';
import type { ArchivingFacts } from '../../store/archiving.ts';
import { readArchiving } from '../../store/postgres/archiving.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { readState, writeState } from '../state-dir.ts';
import { findProgram, isProgram } from './owner.ts';

/** In the state directory: where pgBackRest is set up, for the day on which the database cannot tell. */
const NOTE = 'pgbackrest.json';

export interface Place extends Stanza {
  /** The folder with the server's programs, when it is known. */
  readonly binaries: string | undefined;
}

interface Note {
  readonly config: string;
  readonly stanza: string;
  readonly binaries?: string | undefined;
}

/** The database as SQL sees it. Failures: `refused` on SQLite, `unavailable`. */
export async function archivingOf(config: Config): Promise<ArchivingFacts> {
  return readArchiving(postgresOf(config));
}

/** Failures: `refused` on SQLite. */
export function postgresOf(config: Config) {
  const storage = storageChoice(config);
  if (storage.driver === 'postgres') return storage.postgres;
  throw new Failure('refused', 'The database is SQLite, which needs nothing to be set up.', {
    hint: 'The server keeps its recovery log by itself: `authserver backup list` shows the window, `authserver doctor` what is in the way.',
  });
}

/** Where pgBackRest is set up for this database. Failures: `not_found` when it is not, or not on this machine. */
export async function findPlace(config: Config): Promise<Place> {
  const known = readNote(config) ?? (await archivingOf(config).then(fromCommand, () => undefined));
  if (known) return asPlace(known);
  throw new Failure('not_found', 'Point in time recovery has not been set up here.', {
    hint: 'Run `authserver recovery setup` on the host of the database. With a provider, restore in its console.',
  });
}

export function asPlace({ config, stanza, binaries }: Note): Place {
  const command = pgBackRestProgram();
  return { command, config, stanza, binaries };
}

/** Failures: `not_found`. */
export function pgBackRestProgram(): string {
  // The one that archive_command names is chosen by others; we run the one that we find.
  const command = findProgram('pgbackrest', undefined);
  if (command) return command;
  throw new Failure('not_found', 'pgBackRest is not installed on this machine.', {
    hint: 'On Debian and Ubuntu: apt-get install pgbackrest. Then run this again.',
  });
}

export function readNote({ state_dir }: Config): Note | undefined {
  const text = readState(state_dir, NOTE);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Note;
  } catch {
    return undefined;
  }
}

/** Only where there is a state directory: on a machine with a database alone, archive_command tells the place. */
export function writeNote({ state_dir }: Config, note: Note): void {
  if (!statSync(state_dir, { throwIfNoEntry: false })?.isDirectory()) return;
  writeState(state_dir, NOTE, `${JSON.stringify(note)}\n`);
}

/** The folder of a server's programs. Failures: `not_found`. @param version such as `15` */
export function serverPrograms(version: string, known: string | undefined): string {
  const usual = [`/usr/lib/postgresql/${version}/bin`, `/usr/pgsql-${version}/bin`];
  const found = [...(known === undefined ? [] : [known]), ...usual].find((folder) =>
    isProgram(path.join(folder, 'postgres')),
  );
  if (found !== undefined) return found;
  throw new Failure('not_found', `The programs of PostgreSQL ${version} are not on this machine.`, {
    hint: `Install the server, of the same version: apt-get install postgresql-${version}`,
  });
}

function fromCommand({ archiveCommand }: ArchivingFacts): Note | undefined {
  return parseArchiveCommand(archiveCommand);
}
