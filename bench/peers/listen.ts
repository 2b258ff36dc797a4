import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Listens on 127.0.0.1; the address of the server. */
export async function listenOnFreePort(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Tells the bench that the peer serves; SIGTERM ends it. */
export function announce(url: string): void {
  process.on('SIGTERM', () => process.exit());
  process.stdout.write(`${JSON.stringify({ url })}\n`);
}
