/**
 * app/pgbackrest: the processes and the SQL behind point in time on PostgreSQL. What they mean is judged in
 * ops/point-in-time. Everything in the folders of PostgreSQL is done by the user who owns them, also when we are root: a
 * link that this user has laid there leads nowhere that they could not go themselves.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { Failure } from '../../kernel/errors.ts';

export interface RunOptions {
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Ran {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Of the operating system: who runs PostgreSQL. Its programs get nothing of our environment. */
export class Owner {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;

  constructor(uid: number, gid: number) {
    this.uid = uid;
    this.gid = gid;
    this.name = userName(uid);
  }

  /** Failures: `not_found`; `refused` when we may not act for whoever owns it. */
  static of(file: string): Owner {
    const { uid, gid } = statOf(file);
    const me = process.getuid?.() ?? uid;
    const owner = new Owner(uid, gid);
    // PostgreSQL never runs as root; whoever can name a file of root's here must not become root by it.
    if (uid === 0) {
      throw new Failure('refused', `${file} belongs to root, who does not run PostgreSQL.`, {
        hint: `Give it to the user who does: chown postgres: ${file}`,
      });
    }
    if (me === uid || me === 0) return owner;
    throw new Failure('refused', `${file} belongs to the user ${owner.name}, and this is ${userName(me)}.`, {
      hint: `Run it as root or as ${owner.name}: sudo authserver ...`,
    });
  }

  spawn(command: string, words: readonly string[], stdin: 'pipe' | 'ignore'): ChildProcess {
    const other = process.getuid?.() === 0;
    return spawn(command, words, {
      ...(other && { uid: this.uid, gid: this.gid }),
      cwd: '/',
      env: { PATH: SEARCH_PATH, LC_ALL: 'C', HOME: '/' },
      // A Ctrl-C in the terminal is for us; we tell our children in our own way.
      detached: true,
      stdio: [stdin, 'pipe', 'pipe'],
    });
  }

  /** Runs a program to its end. Failures: `configuration` when it cannot be run, `interrupted`. */
  async run(command: string, words: readonly string[], { input, signal }: RunOptions = {}): Promise<Ran> {
    const stopped = () => new Failure('interrupted', `${path.basename(command)} was stopped.`);
    if (signal?.aborted) throw stopped();
    const child = this.spawn(command, words, input === undefined ? 'ignore' : 'pipe');
    const stop = () => child.kill('SIGTERM');
    signal?.addEventListener('abort', stop, { once: true });
    try {
      // A program that ends without reading is told by its code.
      child.stdin?.on('error', () => {});
      child.stdin?.end(input);
      const [code, stdout, stderr] = await Promise.all([
        endOf(child),
        read(child.stdout),
        read(child.stderr),
      ]);
      if (signal?.aborted) throw stopped();
      return { code, stdout, stderr };
    } catch (cause) {
      if (cause instanceof Failure) throw cause;
      const { code = 'unknown' } = cause as NodeJS.ErrnoException;
      throw new Failure('configuration', `${command} cannot be run (${code}).`, {
        hint: 'See that it is installed, and that the user of PostgreSQL may run it.',
        cause,
      });
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** The text of a file, as this user may read it; undefined where there is none. Failures: `configuration`. */
  async read(file: string): Promise<string | undefined> {
    const { code, stdout } = await this.run('/bin/cat', ['--', file]);
    return code === 0 ? stdout : undefined;
  }

  /** Writes a file that is for this user alone: a reader sees the old or the new one. Failures: `configuration`. */
  async write(file: string, content: string): Promise<void> {
    const script = 'umask 077 && cat > "$1.tmp" && sync "$1.tmp" && mv -f "$1.tmp" "$1" && sync "$2"';
    const words = ['-c', script, 'write', file, path.dirname(file)];
    const { code, stderr } = await this.run('/bin/sh', words, { input: content });
    if (code !== 0) throw cannotWrite(file, stderr);
  }

  /** Makes folders that are for this user alone. Failures: `configuration`. */
  async makeFolders(folders: readonly string[]): Promise<void> {
    const { code, stderr } = await this.run('/bin/mkdir', ['-p', '-m', '0700', '--', ...folders]);
    if (code !== 0) throw cannotWrite(folders.join(', '), stderr);
  }
}

/** Where the programs of a distribution lie. */
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A program by its name, in our own search path and in the usual one. */
export function findProgram(name: string, searchPath: string | undefined): string | undefined {
  const folders = `${searchPath ?? ''}:${SEARCH_PATH}`.split(':').filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => path.join(folder, name)).find(isProgram);
}

export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function statOf(file: string): { uid: number; gid: number } {
  try {
    return statSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EACCES') {
      throw new Failure('refused', `This user may not see ${file}.`, {
        hint: 'Run it as root, or as the user who runs PostgreSQL: sudo authserver ...',
        cause,
      });
    }
    throw new Failure('not_found', `${file} does not exist on this machine.`, { cause });
  }
}

function userName(uid: number): string {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
    return (
      lines.map((line) => line.split(':')).find(([, , id]) => id === String(uid))?.[0] ?? `number ${uid}`
    );
  } catch {
    return `number ${uid}`;
  }
}

function cannotWrite(file: string, stderr: string): Failure {
  return new Failure('configuration', `${file} cannot be written by the user of PostgreSQL.`, {
    detail: stderr.trim().split('\n').at(-1) ?? '',
    hint: 'Name a folder that belongs to that user with --write DIR, or run this as root.',
  });
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  });
}

async function read(stream: NodeJS.ReadableStream | null): Promise<string> {
  return stream ? text(stream) : '';
}
