// PostgreSQL itself crashes under a server that goes on running.

import { expect, it } from 'vitest';
import { query } from '../setup/cluster.ts';
import { engines, type FreshStorage, ownPostgres } from '../setup/engines.ts';
import { suffer } from './ordeal.ts';
import { times } from './scale.ts';

const CRASHES = times(5, 50);
const isLeftOut = !engines.some(({ name }) => name === 'postgres');

it.skipIf(isLeftOut)(
  'crashes of PostgreSQL lose nothing that was acknowledged, and the server recovers by itself (needs the postgres engine)',
  async () => {
    const cluster = await ownPostgres();
    await using _cluster = { [Symbol.asyncDispose]: () => cluster.dispose() };
    await query(cluster.dsn(), 'create database ordeal');
    const storage = ownStorage(cluster.dsn('ordeal'));
    const { broken, acknowledged, lost } = await suffer({ storage, retries: false }, CRASHES, async () => {
      await cluster.stop('immediate');
      await cluster.start();
    });
    expect(broken).toEqual({});
    expect(acknowledged).toBeGreaterThan(10 * CRASHES);
    expect(lost).toBeGreaterThan(CRASHES);
  },
  CRASHES * 24_000,
);

/** The database goes with its cluster. */
function ownStorage(dsn: string): FreshStorage {
  const dispose = async () => undefined;
  return { driver: 'postgres', dsn, dispose, [Symbol.asyncDispose]: dispose };
}
