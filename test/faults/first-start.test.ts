// The first start is killed again and again, wherever it happens to be: schema, first key, first secrets. The next one heals it.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { describeEngines, type Engine, freshStorage } from '../setup/engines.ts';
import { startServer, TestServer } from '../setup/server.ts';
import { times } from './scale.ts';

const KILLS = times(4, 100);

describeEngines('a first start', (engine) => {
  it('that is killed at any moment leaves nothing that the next one cannot finish', {
    timeout: KILLS * 20_000,
  }, async () => {
    const whole = await timeOfStart(engine);
    await using storage = await freshStorage(engine);
    await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_RECOVERY_LOG: 'true' } });
    for (let i = 0; i < KILLS; i++) {
      const started = server.start().catch(() => undefined);
      // More often late than early: what must not be torn apart is done towards the end.
      await sleep(whole * Math.sqrt((i + 1) / KILLS));
      await server.kill();
      await started;
    }
    await server.start();
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
    const jwks = (await (await fetch(`${server.issuer}/.well-known/jwks.json`)).json()) as {
      keys: unknown[];
    };
    expect(jwks.keys).toHaveLength(1);
  });
});

/** ms, on this machine at this moment. */
async function timeOfStart(engine: Engine): Promise<number> {
  await using storage = await freshStorage(engine);
  const before = performance.now();
  await using _server = await startServer({ storage });
  return performance.now() - before;
}
