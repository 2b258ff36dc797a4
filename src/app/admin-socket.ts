import { chmodSync, lstatSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { readState, removeState, stateFiles, writeState } from './state-dir.ts';

/** The kernel keeps 108 bytes of a socket's path on Linux and 104 elsewhere, the closing zero included. */
const LONGEST_PATH = 103;

/** Opens the socket that lets the owner of the state directory in without a key. The lock must be held. */
export async function listenOnAdminSocket(app: FastifyInstance, stateDir: string): Promise<void> {
  forgetAdminSocket(stateDir);
  const socket = placeSocket(stateDir);
  await app.listen({ path: socket });
  chmodSync(socket, 0o600);
}

/** Removes what an earlier server left behind, or this one. */
export function forgetAdminSocket(stateDir: string): void {
  const elsewhere = readState(stateDir, stateFiles.socketPath)?.trim();
  if (elsewhere && isOwned(path.dirname(elsewhere), stateDir)) removeOutside(elsewhere);
  removeState(stateDir, stateFiles.socketPath);
  removeState(stateDir, stateFiles.socket);
}

/** The path of the socket if a server listens on it now. */
export async function findAdminSocket(stateDir: string): Promise<string | undefined> {
  const elsewhere = readState(stateDir, stateFiles.socketPath)?.trim();
  const socket = elsewhere || path.join(stateDir, stateFiles.socket);
  return isOwned(socket, stateDir) && (await answers(socket)) ? socket : undefined;
}

/** A state directory deep in the tree gets its socket in a folder of its own among the temporary files. */
function placeSocket(stateDir: string): string {
  const inside = path.join(stateDir, stateFiles.socket);
  if (Buffer.byteLength(inside) <= LONGEST_PATH) return inside;
  const folder = mkdtempSync(path.join(tmpdir(), 'authserver-'));
  const outside = path.join(folder, stateFiles.socket);
  writeState(stateDir, stateFiles.socketPath, `${outside}\n`);
  return outside;
}

/** The socket and the folder that was made for it, and nothing else, whatever the path is. */
function removeOutside(socket: string): void {
  if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket()) rmSync(socket);
  try {
    rmdirSync(path.dirname(socket));
  } catch {
    // Something else is in there.
  }
}

/** What stands among the temporary files may be somebody else's trap: it must belong to the owner of the state directory. */
function isOwned(place: string, stateDir: string): boolean {
  return lstatSync(place, { throwIfNoEntry: false })?.uid === lstatSync(stateDir).uid;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const end = (answered: boolean) => {
      connection.destroy();
      resolve(answered);
    };
    connection.once('connect', () => end(true));
    connection.once('error', () => end(false));
  });
}
