import { readlinkSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import { controlValue } from '../../ops/point-in-time/target.ts';
import type { ArchivingFacts } from '../../store/archiving.ts';
import { Owner } from './owner.ts';
import { serverPrograms } from './place.ts';

/** A running server, seen from its own machine. */
export interface LocalServer {
  readonly owner: Owner;
  readonly dataDirectory: string;
  readonly socketFolder: string;
  readonly port: number;
  /** The folder of its programs. */
  readonly programs: string;
}

/** Of the lines of postmaster.pid. */
const PID_LINES = { process: 0, port: 3, socketFolder: 4 } as const;

/**
 * The server behind the settings, where it runs on this machine.
 * @param named the data directory, where the role of the settings may not see it
 * Failures: `invalid_input` when it has to be named; `refused` when it is another server's, or on another machine
 */
export async function findLocalServer(
  facts: ArchivingFacts,
  named: string | undefined,
): Promise<LocalServer> {
  const dataDirectory = named ?? facts.dataDirectory;
  if (dataDirectory === null) {
    throw new Failure('invalid_input', 'The role of storage.postgres.dsn may not see the data directory.', {
      hint: "Name it with --pgdata DIR (sudo -u postgres psql -c 'show data_directory'), or let the role see it: grant pg_monitor to ROLE.",
    });
  }
  const owner = ownerOf(dataDirectory);
  const text = await owner.read(path.join(dataDirectory, 'postmaster.pid'));
  if (text === undefined) throw notHere(`no server runs on ${dataDirectory} on this machine`);
  const lines = text.split('\n').map((line) => line.trim());
  const socketFolder = lines[PID_LINES.socketFolder];
  if (!socketFolder) {
    throw new Failure('refused', 'PostgreSQL listens on no socket of this machine.', {
      hint: 'pgBackRest needs one: set unix_socket_directories, restart PostgreSQL, and run this again.',
    });
  }
  const version = String(Math.floor(facts.version / 10_000));
  const programs = serverPrograms(version, programsOf(lines[PID_LINES.process]));
  const { stdout } = await owner.run(path.join(programs, 'pg_controldata'), [dataDirectory]);
  const systemId = controlValue(stdout, 'Database system identifier');
  if (systemId !== facts.systemId) throw notHere(`${dataDirectory} belongs to another cluster`);
  return { owner, dataDirectory, socketFolder, port: Number(lines[PID_LINES.port]), programs };
}

function ownerOf(dataDirectory: string): Owner {
  try {
    return Owner.of(dataDirectory);
  } catch (error) {
    if (error instanceof Failure && error.code === 'not_found') throw notHere(error.message, error);
    throw error;
  }
}

function notHere(detail: string, cause?: unknown): Failure {
  return new Failure('refused', 'The database of the settings does not run on this machine.', {
    detail,
    hint: 'Run this on its host, with the same settings. Where a provider runs it: authserver recovery setup --provider',
    cause,
  });
}

/** Where the running server was started from; undefined where that cannot be seen. */
function programsOf(process: string | undefined): string | undefined {
  try {
    return path.dirname(readlinkSync(`/proc/${Number(process)}/exe`));
  } catch {
    return undefined;
  }
}
