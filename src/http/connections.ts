import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** The open connections of a listener, so that it can be left in good order. */
export class Connections {
  readonly #open = new Set<Socket>();
  #draining = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
    });
  }

  /** True once the listener is going away: every response then closes its connection. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Marks the end, and drops the connections that browsers open ahead of need: Node would wait for their first byte. */
  startDraining(): void {
    this.#draining = true;
    for (const socket of this.#open) if (socket.bytesRead === 0) socket.destroy();
  }

  /** Drops whatever is still open; returns how many connections that were. */
  dropAll(): number {
    const count = this.#open.size;
    for (const socket of this.#open) socket.destroy();
    return count;
  }
}
