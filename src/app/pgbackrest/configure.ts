/** The first half of `recovery setup`: the folder and the configuration of pgBackRest. */
import { chownSync, mkdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Failure } from '../../kernel/errors.ts';
import { type Random, randomToken } from '../../kernel/random.ts';
import {
  CONFIGURATION_FILE,
  describeRepo,
  parseArchiveCommand,
  parseRepo,
  plainPath,
  plainStanza,
  type Repo,
  type RepoCredentials,
  readConfiguration,
  renderConfiguration,
  type Stanza,
  type WrittenConfiguration,
} from '../../ops/point-in-time/configuration.ts';
import type { ArchivingFacts } from '../../store/archiving.ts';
import { passphraseIn } from '../backup/identity.ts';
import type { LocalServer } from './local-server.ts';
import type { Owner } from './owner.ts';
import { pgBackRestProgram } from './place.ts';

export interface ConfigureRequest {
  /** `/folder` or `s3://...`; what was chosen before, or a folder beside the configuration. */
  readonly repo?: string | undefined;
  readonly stanza?: string | undefined;
  /** The folder of the configuration. */
  readonly write?: string | undefined;
  /** What opens an object store (AWS_*). */
  readonly credentials?: RepoCredentials | undefined;
  /** A file with the passphrase of a repository that exists already. */
  readonly passphrase_file?: string | undefined;
}

/** Where the configuration is, or goes. */
export interface ChosenPlace {
  readonly config: string;
  readonly stanza: string;
}

const FOLDER = '/var/lib/authserver-pgbackrest';
const STANZA = 'authserver';

/**
 * What was asked for, or chosen before, or is usual.
 * @param known what the last run noted
 * Failures: `invalid_input`; `refused` when somebody else archives, or another configuration than the one asked for
 */
export function choosePlace(
  { write, stanza }: ConfigureRequest,
  { archiveCommand, archiveMode }: ArchivingFacts,
  known: ChosenPlace | undefined,
): ChosenPlace {
  const active = parseArchiveCommand(archiveCommand);
  if (archiveMode !== 'off' && archiveCommand !== '' && !active) throw archivedByOthers(archiveCommand);
  const former = active ?? known;
  const folder = plainPath(write ?? (former ? path.dirname(former.config) : FOLDER), '--write');
  const chosen = {
    config: path.join(folder, CONFIGURATION_FILE),
    stanza: plainStanza(stanza ?? former?.stanza ?? STANZA),
  };
  if (!active || (active.config === chosen.config && active.stanza === chosen.stanza)) return chosen;
  throw new Failure(
    'refused',
    `PostgreSQL archives to stanza ${active.stanza} of ${active.config} already.`,
    {
      hint: 'Leave --write and --stanza out to go on with that one. To begin anew: alter system reset archive_command, reload, and run this again.',
    },
  );
}

export interface Configured {
  readonly stanza: Stanza;
  /** As a person names the repository. */
  readonly repo: string;
  readonly changed: boolean;
  readonly passphrase: string;
}

/**
 * Writes the configuration, or finds it as it should be.
 * Failures: `refused` when another one stands there; `configuration` when nothing can be written; `invalid_input`,
 * `not_found` without pgBackRest.
 */
export async function configure(
  request: ConfigureRequest,
  { config, stanza }: ChosenPlace,
  { owner, ...server }: LocalServer,
  random: Random,
): Promise<Configured> {
  const command = pgBackRestProgram();
  const folder = path.dirname(config);
  checkOutside(folder, server.dataDirectory, '--write');
  await makeOwnFolder(folder, owner);
  const before = await owner.read(config);
  const written = before === undefined ? undefined : readConfiguration(before);
  const repo = chooseRepo(request.repo, written, folder);
  checkSame(written, repo, { config, stanza });
  if (repo.kind === 'folder') {
    checkOutside(repo.path, server.dataDirectory, '--repo');
    await makeOwnFolder(repo.path, owner);
  }
  await owner.makeFolders(['log', 'lock', 'spool'].map((name) => path.join(folder, name)));
  const given = await givenPassphrase(request.passphrase_file);
  const passphrase = written?.passphrase ?? given ?? randomToken(random);
  const text = renderConfiguration({
    stanza,
    folder,
    repo,
    credentials: request.credentials ?? written?.credentials,
    passphrase,
    dataDirectory: plainPath(server.dataDirectory, '--pgdata'),
    socketFolder: server.socketFolder,
    port: server.port,
    processes: Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2))),
  });
  const changed = text !== before;
  if (changed) await owner.write(config, text);
  return {
    stanza: { command, config, stanza },
    repo: `${describeRepo(repo)}${onSameDisk(repo, server.dataDirectory) ? SAME_DISK : ''}`,
    changed,
    passphrase,
  };
}

function chooseRepo(
  wanted: string | undefined,
  written: WrittenConfiguration | undefined,
  folder: string,
): Repo {
  if (wanted !== undefined) return parseRepo(wanted);
  return written?.repo ?? { kind: 'folder', path: path.join(folder, 'repo') };
}

/** One line of the configuration, which nothing in it may end. Failures: `configuration`, `invalid_input`. */
async function givenPassphrase(file: string | undefined): Promise<string | undefined> {
  const passphrase = await passphraseIn(file);
  if (passphrase === undefined || /^[\x21-\x7e]+$/.test(passphrase)) return passphrase;
  throw new Failure('invalid_input', 'The passphrase of the repository has spaces or strange characters.', {
    hint: 'Write it as it stands in repo1-cipher-pass, on one line.',
  });
}

/** What was encrypted and archived under one configuration must not be orphaned by another. */
function checkSame(written: WrittenConfiguration | undefined, repo: Repo, place: ChosenPlace): void {
  if (!written) return;
  const { config, stanza } = place;
  const hint =
    'Name another folder for the new one with --write DIR; what is in the former repository stays there.';
  if (written.stanza !== undefined && written.stanza !== stanza) {
    throw new Failure('refused', `${config} is for stanza ${written.stanza}, not ${stanza}.`, { hint });
  }
  if (written.repo && describeRepo(written.repo) !== describeRepo(repo)) {
    throw new Failure('refused', `${config} has another repository: ${describeRepo(written.repo)}.`, {
      hint,
    });
  }
}

const SAME_DISK =
  ' (on the disk of the database: with that disk both are lost; choose another one with --repo)';

function onSameDisk(repo: Repo, dataDirectory: string): boolean {
  return repo.kind === 'folder' && statSync(repo.path).dev === statSync(dataDirectory).dev;
}

/** What lies in the data directory is backed up with it, and is lost with it. */
function checkOutside(folder: string, dataDirectory: string, option: string): void {
  const way = path.relative(dataDirectory, folder);
  if (way === '..' || way.startsWith('../')) return;
  throw new Failure('invalid_input', `${option} names a folder in the data directory: ${folder}.`, {
    hint: 'Name one outside of it, best on another disk.',
  });
}

/** Made by the owner where they may; by root only in a folder where they may not, so that nothing can be swapped under us. */
async function makeOwnFolder(folder: string, owner: Owner): Promise<void> {
  try {
    await owner.makeFolders([folder]);
  } catch (error) {
    if (process.getuid?.() !== 0 || exists(folder) || !exists(path.dirname(folder))) throw error;
    mkdirSync(folder, { mode: 0o700 });
    chownSync(folder, owner.uid, owner.gid);
  }
  if (statSync(folder).uid === owner.uid) return;
  throw new Failure('configuration', `${folder} does not belong to ${owner.name}, who runs PostgreSQL.`, {
    hint: `Name another one, or: chown ${owner.name}: ${folder}`,
  });
}

function exists(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined;
}

function archivedByOthers(command: string): Failure {
  const name = command.trim().split(/\s+/)[0] ?? '';
  return new Failure('refused', `PostgreSQL archives in another way already: archive_command runs ${name}.`, {
    hint: 'To leave it to that and only watch it: authserver recovery setup --provider. To replace it: alter system reset archive_command, reload, and run this again.',
  });
}
