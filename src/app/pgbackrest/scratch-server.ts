/** A PostgreSQL server of its own in a folder of its own, for as long as somebody holds it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { Failure } from '../../kernel/errors.ts';
import type { Owner } from './owner.ts';

/**
 * The shell between us and the server. It makes the folder, after it has cleared away those of shells that are gone, tells
 * its name, and starts the server anew with each configuration that it reads. When the pipe closes, because we let go or
 * died in whatever way, it stops the server and removes the folder with all that was restored.
 */
const GUARD = `
umask 077
for old in "$1"/at-*; do
  pid=\${old##*/at-}; pid=\${pid%%-*}
  [ -d "$old" ] && ! kill -0 "$pid" 2>/dev/null && rm -rf "$old"
done
folder=$(mktemp -d "$1/at-$$-XXXXXX") || exit 1
sockets=$(mktemp -d /tmp/authserver-at-XXXXXX) || exit 1
echo "$folder"; echo "$sockets"
server=
stop() {
  [ -n "$server" ] || return 0
  until [ -s "$folder/pid" ] || [ ! -d "$folder" ]; do sleep 0.05; done
  while pid=$(cat "$folder/pid" 2>/dev/null) && [ "$pid" != ended ] && kill -QUIT "$pid" 2>/dev/null; do sleep 0.05; done
  wait "$server"; server=
}
while read -r config; do
  stop
  rm -f "$folder/pid"
  ( "$2" -c "config_file=$config" & echo $! > "$folder/pid"; wait $!
    echo ended > "$folder/pid"; echo 'the server has ended' >&2 ) &
  server=$!
done
stop
cd / && rm -rf "$folder" "$sockets"
`;

/** No TCP, so any number does; it names the socket. */
const PORT = 5432;

const READY = 'database system is ready to accept connections';
const ENDED = 'the server has ended';

/** What the server said before it ended. */
export class ServerEnded extends Error {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.at(-2) ?? 'it said nothing');
    this.lines = lines;
  }
}

export class ScratchServer implements AsyncDisposable {
  /** Empty at first, mode 0700. */
  readonly folder: string;
  readonly #sockets: string;
  readonly #owner: Owner;
  readonly #guard: ChildProcess;
  readonly #lines: Interface;

  private constructor(
    folder: string,
    sockets: string,
    parts: { owner: Owner; guard: ChildProcess; lines: Interface },
  ) {
    this.folder = folder;
    this.#sockets = sockets;
    this.#owner = parts.owner;
    this.#guard = parts.guard;
    this.#lines = parts.lines;
  }

  get dataDirectory(): string {
    return path.join(this.folder, 'data');
  }

  /**
   * Makes the folder. @param parent of the owner's. @param program `postgres`
   * Failures: `configuration` when it cannot be made.
   */
  static async open(owner: Owner, parent: string, program: string): Promise<ScratchServer> {
    await owner.makeFolders([parent]);
    const guard = owner.spawn('/bin/sh', ['-c', GUARD, 'guard', parent, program], 'pipe');
    guard.stdin?.on('error', () => {});
    const { stdout, stderr } = guard;
    if (!stdout || !stderr) throw new TypeError('the guard has no pipes');
    const said: string[] = [];
    const lines = createInterface({ input: stderr });
    lines.on('line', (line) => said.push(line));
    const places: string[] = [];
    for await (const line of createInterface({ input: stdout })) {
      if (places.push(line) === 2) break;
    }
    const [folder, sockets] = places;
    if (folder !== undefined && sockets !== undefined) {
      lines.removeAllListeners('line');
      return new ScratchServer(folder, sockets, { owner, guard, lines });
    }
    throw new Failure('configuration', `No folder can be made in ${parent}.`, { detail: said.join('\n') });
  }

  /**
   * Starts it on `dataDirectory`, anew where it has run; returns when it takes connections.
   * @param settings of postgresql.conf. Throws ServerEnded. Failures: `interrupted`, `configuration`.
   */
  async start(settings: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<void> {
    const config = path.join(this.folder, 'postgresql.conf');
    const rules = path.join(this.folder, 'pg_hba.conf');
    // The folder of the socket is closed to everybody but the owner and root.
    await this.#owner.write(rules, 'local all all trust\n');
    await this.#owner.write(config, `${this.#configuration(rules, settings)}\n`);
    if (signal?.aborted) throw stopped();
    const ready = this.#untilReady(signal);
    this.#guard.stdin?.write(`${config}\n`);
    await ready;
  }

  /** As `user` in `database`, over its socket. @param options the startup options of a connection */
  dsn(user: string, database: string, options: string | undefined): string {
    const name = encodeURIComponent;
    const url = new URL(`postgres://${name(user)}@localhost:${PORT}/${name(database)}`);
    url.searchParams.set('host', this.#sockets);
    if (options !== undefined) url.searchParams.set('options', options);
    return url.href;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#guard.exitCode !== null || this.#guard.signalCode !== null) return;
    const ended = once(this.#guard, 'exit');
    this.#guard.stdin?.end();
    await ended;
  }

  #configuration(rules: string, settings: Readonly<Record<string, string>>): string {
    const all = {
      data_directory: this.dataDirectory,
      hba_file: rules,
      ident_file: rules,
      listen_addresses: '',
      unix_socket_directories: this.#sockets,
      port: String(PORT),
      ...settings,
    };
    return Object.entries(all)
      .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`)
      .join('\n');
  }

  #untilReady(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const said: string[] = [];
    const hear = (line: string) => {
      said.push(line);
      if (said.length > 200) said.shift();
      if (line.includes(READY)) resolve();
      if (line === ENDED) reject(new ServerEnded(said));
    };
    const stop = () => reject(stopped());
    this.#lines.on('line', hear);
    signal?.addEventListener('abort', stop, { once: true });
    return promise.finally(() => {
      this.#lines.off('line', hear);
      signal?.removeEventListener('abort', stop);
    });
  }
}

function stopped(): Failure {
  return new Failure('interrupted', 'The restore into a scratch folder was stopped.');
}
