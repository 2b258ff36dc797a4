/** The configuration of pgBackRest, and what PostgreSQL has to be told so that it archives through it. */
import { Failure } from '../../kernel/errors.ts';
import type { ArchivingFacts } from '../../store/archiving.ts';

export type Repo =
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly path: string;
      readonly region: string;
      readonly endpoint: string;
      readonly pathStyle: boolean;
    };

/** What opens an object store; where it is absent, the role of the machine does. */
export interface RepoCredentials {
  readonly keyId: string;
  readonly secret: string;
}

export interface PgBackRestConfiguration {
  readonly stanza: string;
  /** Where it keeps its logs and locks. */
  readonly folder: string;
  readonly repo: Repo;
  readonly credentials: RepoCredentials | undefined;
  readonly passphrase: string;
  readonly dataDirectory: string;
  /** Where the server listens on this machine. */
  readonly socketFolder: string;
  readonly port: number;
  readonly processes: number;
}

/** The name of the file within its folder. */
export const CONFIGURATION_FILE = 'pgbackrest.conf';

/** How long PostgreSQL may keep a segment open that has something in it. */
const ARCHIVE_TIMEOUT = '30s';

/** Full backups that are kept, with all log since the oldest of them. */
const KEEP_FULL = 2;

/**
 * A path that needs no quoting, in whichever of the three syntaxes it ends up: of pgBackRest, of a shell, of PostgreSQL.
 * Failures: `invalid_input`.
 */
export function plainPath(path: string, option: string): string {
  if (/^\/[\w./@+-]*$/.test(path) && !path.split('/').includes('..')) return path.replace(/(.)\/+$/, '$1');
  throw new Failure(
    'invalid_input',
    `${option} needs an absolute path of plain characters; "${path}" is none.`,
    {
      hint: 'It goes into archive_command, which a shell reads: letters, digits and . _ - @ + only.',
    },
  );
}

/** Failures: `invalid_input`. */
export function plainStanza(name: string): string {
  if (/^[A-Za-z0-9][\w-]{0,63}$/.test(name)) return name;
  throw new Failure('invalid_input', `--stanza needs letters, digits, - and _; "${name}" is not so.`, {
    hint: 'It names a folder in the repository. Leave it out for `authserver`.',
  });
}

/** `/folder` or `s3://bucket/prefix?region=..&endpoint=..&path_style=true`. Failures: `invalid_input`. */
export function parseRepo(text: string): Repo {
  if (!text.startsWith('s3://')) return { kind: 'folder', path: plainPath(text, '--repo') };
  const url = URL.parse(text);
  const known = ['region', 'endpoint', 'path_style'];
  const strange = [...(url?.searchParams.keys() ?? [])].find((name) => !known.includes(name));
  if (!url || !/^[a-z0-9][a-z0-9.-]{2,62}$/.test(url.hostname) || strange !== undefined) {
    throw new Failure('invalid_input', `--repo does not know "${text}".`, {
      hint: 'Write s3://bucket/prefix?region=eu-central-1&endpoint=s3.example.com&path_style=true',
    });
  }
  const region = url.searchParams.get('region') ?? 'us-east-1';
  return {
    kind: 's3',
    bucket: url.hostname,
    path: plainPath(url.pathname === '' ? '/' : url.pathname, '--repo'),
    region: plainWord(region, 'region'),
    endpoint: plainWord(url.searchParams.get('endpoint') ?? `s3.${region}.amazonaws.com`, 'endpoint'),
    pathStyle: url.searchParams.get('path_style') === 'true',
  };
}

function plainWord(word: string, what: string): string {
  if (/^[\w.:-]+$/.test(word)) return word;
  throw new Failure('invalid_input', `--repo has a strange ${what}: "${word}".`, {
    hint: 'The endpoint is a host with or without a port; pgBackRest speaks TLS to it.',
  });
}

/** The whole file. It holds the passphrase, so it is for the user who runs PostgreSQL alone. */
export function renderConfiguration(configuration: PgBackRestConfiguration): string {
  const { stanza, folder, passphrase, processes } = configuration;
  const { dataDirectory, socketFolder, port } = configuration;
  const lines = [
    '# Made by `authserver recovery setup`, which writes it anew when it is run again.',
    '[global]',
    ...repoLines(configuration),
    'repo1-cipher-type=aes-256-cbc',
    `repo1-cipher-pass=${passphrase}`,
    `repo1-retention-full=${KEEP_FULL}`,
    'compress-type=zst',
    'archive-async=n',
    'start-fast=y',
    `process-max=${processes}`,
    'log-level-console=warn',
    'log-level-file=detail',
    `log-path=${folder}/log`,
    `lock-path=${folder}/lock`,
    `spool-path=${folder}/spool`,
    '',
    `[${stanza}]`,
    `pg1-path=${dataDirectory}`,
    `pg1-socket-path=${socketFolder}`,
    `pg1-port=${port}`,
  ];
  return `${lines.join('\n')}\n`;
}

function repoLines({ repo, credentials }: PgBackRestConfiguration): readonly string[] {
  if (repo.kind === 'folder') return [`repo1-path=${repo.path}`];
  const key = credentials
    ? [`repo1-s3-key=${credentials.keyId}`, `repo1-s3-key-secret=${credentials.secret}`]
    : ['repo1-s3-key-type=auto'];
  return [
    'repo1-type=s3',
    `repo1-path=${repo.path}`,
    `repo1-s3-bucket=${repo.bucket}`,
    `repo1-s3-region=${repo.region}`,
    `repo1-s3-endpoint=${repo.endpoint}`,
    `repo1-s3-uri-style=${repo.pathStyle ? 'path' : 'host'}`,
    ...key,
  ];
}

/** What a configuration that was written before is asked for. */
export interface WrittenConfiguration {
  readonly stanza: string | undefined;
  readonly repo: Repo | undefined;
  readonly credentials: RepoCredentials | undefined;
  readonly passphrase: string | undefined;
}

/** Reads what `renderConfiguration` wrote. */
export function readConfiguration(text: string): WrittenConfiguration {
  const values = new Map<string, string>();
  let stanza: string | undefined;
  for (const line of text.split('\n')) {
    const section = /^\[(.+)\]$/.exec(line.trim())?.[1];
    if (section !== undefined && !section.startsWith('global')) stanza = section;
    const [, name, value] = /^([\w-]+)\s*=\s*(.*)$/.exec(line.trim()) ?? [];
    if (name !== undefined && value !== undefined) values.set(name, value);
  }
  const keyId = values.get('repo1-s3-key');
  const secret = values.get('repo1-s3-key-secret');
  return {
    stanza,
    repo: writtenRepo(values),
    credentials: keyId !== undefined && secret !== undefined ? { keyId, secret } : undefined,
    passphrase: values.get('repo1-cipher-pass'),
  };
}

function writtenRepo(values: ReadonlyMap<string, string>): Repo | undefined {
  const path = values.get('repo1-path');
  if (path === undefined) return undefined;
  if (values.get('repo1-type') !== 's3') return { kind: 'folder', path };
  return {
    kind: 's3',
    path,
    bucket: values.get('repo1-s3-bucket') ?? '',
    region: values.get('repo1-s3-region') ?? '',
    endpoint: values.get('repo1-s3-endpoint') ?? '',
    pathStyle: values.get('repo1-s3-uri-style') === 'path',
  };
}

/** As a person names it. */
export function describeRepo(repo: Repo): string {
  return repo.kind === 'folder' ? repo.path : `s3://${repo.bucket}${repo.path} at ${repo.endpoint}`;
}

/** Where pgBackRest is set up: enough to run it. */
export interface Stanza {
  /** The program. */
  readonly command: string;
  /** The configuration file. */
  readonly config: string;
  readonly stanza: string;
}

export function archiveCommand({ command, config, stanza }: Stanza): string {
  return `${command} --config=${config} --stanza=${stanza} archive-push %p`;
}

/** The stanza that an archive_command of `archiveCommand` pushes to; undefined for any other command. */
export function parseArchiveCommand(text: string): Stanza | undefined {
  const [, command, config, stanza] =
    /^(\S+) --config=(\S+) --stanza=(\S+) archive-push "?%p"?$/.exec(text) ?? [];
  return command && config && stanza ? { command, config, stanza } : undefined;
}

export interface ServerSetting {
  readonly name: string;
  readonly value: string;
}

/** What PostgreSQL still has to be told. */
export function missingSettings(facts: ArchivingFacts, command: string): readonly ServerSetting[] {
  const missing: ServerSetting[] = [];
  const add = (name: string, value: string) => missing.push({ name, value });
  if (facts.walLevel === 'minimal') add('wal_level', 'replica');
  if (facts.archiveMode === 'off') add('archive_mode', 'on');
  if (facts.archiveLibrary !== '') add('archive_library', '');
  if (facts.archiveCommand !== command) add('archive_command', command);
  if (facts.archiveTimeout === 0) add('archive_timeout', ARCHIVE_TIMEOUT);
  return missing;
}

/** As an administrator of the database types them. */
export function alterLines(settings: readonly ServerSetting[]): readonly string[] {
  return [
    ...settings.map(({ name, value }) => `alter system set ${name} = '${value.replaceAll("'", "''")}';`),
    'select pg_reload_conf();',
  ];
}
