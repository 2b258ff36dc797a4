import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that systems give to connections (ip(7), ip_local_port_range): there one may be gone between a stop and a start. */
const [FIRST, END] = [15_000, 32_000];

/** A port of the loopback address that nobody has now, nor is likely to get before it is used. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, END);
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
