// What is left of `authserver drill run` that was stopped in its midst.

import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openScratch } from '../../src/app/scratch.ts';
import { runSql } from '../purge/fixture.ts';
import { describeEngines, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { storageChoice } from '../setup/fresh-store.ts';
import { isLong } from '../setup/long.ts';
import { spawnAuthserver, TestServer } from '../setup/server.ts';

const LONG = { timeout: 120_000 } as const;

const STOPS = [
  ['killed', 'SIGKILL', null],
  ['of a terminal that goes away', 'SIGHUP', 4],
] as const;

describeEngines('authserver drill run', (engine) => {
  // What a kill leaves is more on PostgreSQL: schemas in a database that others use.
  const tried = isLong
    ? STOPS
    : STOPS.filter(([stop]) => (stop === 'killed') === (engine.name === 'postgres'));
  test.each(tried)(
    '%s while its copy has a scratch place too leaves nothing for good',
    LONG,
    async (_, signal, exit) => {
      await using storage = await freshStorage(engine);
      await using server = await TestServer.prepare({ storage, env: { AUTHSERVER_BACKUP_SCHEDULE: 'off' } });
      await server.start();
      await server.stop();
      const scratch = path.join(server.stateDir, 'scratch');
      const child = spawnAuthserver(['drill', 'run', 'host-loss', '--json'], { env: server.env });
      const closed = once(child, 'close');
      const errors = text(child.stderr ?? Readable.from([]));
      while (!(await isWithin(storage, scratch))) {
        if (child.exitCode !== null) expect.unreachable(await errors);
        await sleep(5);
      }
      child.kill(signal);
      const [code] = await closed;
      expect(code, await errors).toBe(exit);
      // Whoever comes next.
      if (signal === 'SIGKILL')
        await (await openScratch(storageChoice(storage), scratch))[Symbol.asyncDispose]();
      expect(await folders(scratch)).toEqual([]);
      expect(await schemas(storage)).toEqual([]);
    },
  );
});

/** On PostgreSQL it has a schema beside the one of the copy. */
async function isWithin(storage: FreshStorage, scratch: string): Promise<boolean> {
  if (storage.driver === 'postgres') return (await schemas(storage)).length > 1;
  return (await folders(scratch)).some((name) => /\/state\/scratch\/scratch-\w+\/./.test(name));
}

async function folders(folder: string): Promise<readonly string[]> {
  // Some of it goes while it is read.
  return readdir(folder, { recursive: true }).catch(() => []);
}

async function schemas(storage: FreshStorage): Promise<readonly unknown[]> {
  if (storage.driver !== 'postgres') return [];
  return runSql(storage, "select nspname from pg_namespace where nspname like '%scratch%'");
}
