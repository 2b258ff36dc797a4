import type { FastifyInstance } from 'fastify';
import { makeServer } from '../http/server.ts';
import { Failure } from '../kernel/errors.ts';
import type { Rooms } from './compose.ts';
import { formatAddress } from './config/key.ts';
import type { Address } from './config.ts';

/** A listener with the settings of `server`; the admin API's own has the same. */
export function makeListener({ config, random }: Pick<Rooms, 'config' | 'random'>): FastifyInstance {
  return makeServer({
    bodyLimit: config.server.body_limit,
    trustedProxies: config.server.trusted_proxies,
    requestTimeout: config.server.request_timeout,
    random,
  });
}

/** Listens; the address as this machine reaches it. Failures: `configuration` when the port is taken or not ours. */
export async function listen(app: FastifyInstance, address: Address, key: string): Promise<string> {
  try {
    await app.listen({ host: address.host, port: address.port });
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw new Failure('configuration', `Cannot listen on ${formatAddress(address)}.`, {
      detail: (cause as Error).message,
      hint: taken
        ? `Another program listens there. Stop it, or choose another port with ${key}.`
        : `Choose an address of this machine and a port that this user may open with ${key}.`,
      cause,
    });
  }
  const bound = app.server.address();
  const port = typeof bound === 'object' && bound ? bound.port : address.port;
  const reachable = { '0.0.0.0': '127.0.0.1', '::': '::1' }[address.host] ?? address.host;
  return `http://${formatAddress({ host: reachable, port })}`;
}
