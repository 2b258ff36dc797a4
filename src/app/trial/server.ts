/**
 * A whole server on a database that nobody uses, for nobody but a canary: it listens on a socket within a folder of its own,
 * and has no port, no schedule, no metrics and no admin API. It asks nothing of the outside: where Vault or the
 * environment would sign, a key of its own does. Only a command of the settings that fetches the master key runs, as it
 * does at each start: without it nobody would know whether sealed rows open.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import type { Store } from '../../store/store.ts';
import { openRooms, type Rooms } from '../compose.ts';
import type { Config } from '../config.ts';
import { makeHealth } from '../health.ts';
import { makePublicServer } from '../public-server.ts';

/** The kernel keeps 108 bytes of a socket's path on Linux and 104 elsewhere, the closing zero included. */
const LONGEST_PATH = 103;

export interface TrialParts {
  /** For the socket. */
  readonly folder: string;
  /** Whether the private half of the active key is at hand; otherwise it signs with one that it makes. */
  readonly canSign: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface TrialServer extends AsyncDisposable {
  readonly rooms: Rooms;
  /** The path of the socket that it listens on. */
  readonly socket: string;
}

/**
 * Boots on an open store, which is closed with it. Failures: those of a server that starts.
 * @param config made by `trialConfig`
 */
export async function startTrial(config: Config, store: Store, parts: TrialParts): Promise<TrialServer> {
  await using undo = new AsyncDisposableStack();
  const { clock, random, log, signal, canSign } = parts;
  const rooms = await openRooms(config, store, log, {
    clock,
    random,
    stopping: signal,
    mustSign: canSign,
  });
  undo.defer(() => rooms.close());
  if (!canSign) await rooms.keyring.management.recover();
  const pendingSteps = async () => [];
  const health = makeHealth({ store: store.health, keyring: rooms.keyring, pendingSteps, clock, log });
  const app = makePublicServer(rooms, health);
  undo.defer(() => app.close());
  const socket = undo.use(placeSocket(parts.folder));
  await app.listen({ path: socket.path });
  chmodSync(socket.path, 0o600);
  const opened = undo.move();
  return { rooms, socket: socket.path, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** A folder deep in the tree has its socket in one of its own among the temporary files. */
function placeSocket(folder: string): Disposable & { readonly path: string } {
  const inside = path.join(folder, 'trial.sock');
  if (Buffer.byteLength(inside) <= LONGEST_PATH) return { path: inside, [Symbol.dispose]: () => undefined };
  const outside = mkdtempSync(path.join(tmpdir(), 'authserver-'));
  return {
    path: path.join(outside, 'trial.sock'),
    [Symbol.dispose]: () => rmSync(outside, { recursive: true, force: true }),
  };
}
