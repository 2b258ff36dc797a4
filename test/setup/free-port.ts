import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that systems give to connections (ip(7), ip_local_port_range): there one may be gone between a stop and a start. */
const FIRST = 12_000;

/**
 * Ports of each worker of the tests, which no other one takes. Between the search for a port and the start on it, and between
 * a stop and the next start, nobody holds it: a port by chance would be another test's once in some thousand starts.
 */
const SHARE = 1_000;
const SHARES = 20;

/** Two runs of the tests at once begin at different ones. */
let next = randomInt(SHARE);

/** A port of the loopback address that nobody has now, nor gets before it is used. */
export async function freePort(): Promise<number> {
  const worker = Number(process.env['VITEST_POOL_ID'] ?? 0) % SHARES;
  const first = FIRST + worker * SHARE;
  for (;;) {
    const port = first + (next++ % SHARE);
    const probe = createServer().listen({ host: '127.0.0.1', port });
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}
