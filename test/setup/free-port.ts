import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port of the loopback address that nobody has now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(probe, 'listening');
  const bound = probe.address();
  probe.close();
  await once(probe, 'close');
  if (typeof bound !== 'object' || bound === null) throw new Error('the system gave no port');
  return bound.port;
}
