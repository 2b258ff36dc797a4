// Owns the databases that tests run on: the same test body on both engines, each time on an empty store of its own.

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, inject, test } from 'vitest';
import { type Cluster, query, startCluster } from './cluster.ts';
import { isLong } from './long.ts';

export interface Engine {
  readonly name: 'sqlite' | 'postgres';
}

/** The configuration that `storage` wants, and how to get rid of what is behind it. */
export type FreshStorage = AsyncDisposable & { dispose(): Promise<void> } & (
    | { readonly driver: 'sqlite'; readonly path: string; readonly dir: string }
    | { readonly driver: 'postgres'; readonly dsn: string }
  );

const ALL: readonly Engine[] = [{ name: 'sqlite' }, { name: 'postgres' }];
const ONLY = process.env.AUTHSERVER_TEST_ENGINES;
if (ONLY && !ALL.some((engine) => engine.name === ONLY)) {
  throw new Error(`AUTHSERVER_TEST_ENGINES is "${ONLY}"; it must be sqlite or postgres, or unset for both.`);
}

/** The empty database of the shared server that all others are copies of. */
export const BLANK = 'blank';

/** The engines of this run: both, unless AUTHSERVER_TEST_ENGINES names one. */
export const engines: readonly Engine[] = ALL.filter((engine) => !ONLY || engine.name === ONLY);

/** Describes the same tests once for each engine; those of an engine that is left out are skipped by name. */
export function describeEngines(name: string, tests: (engine: Engine) => void): void {
  for (const engine of ALL) {
    if (engines.includes(engine)) describe(`${name} on ${engine.name}`, () => tests(engine));
    else
      describe.skip(`${name} on ${engine.name} (skipped: AUTHSERVER_TEST_ENGINES=${ONLY})`, () =>
        tests(engine));
  }
}

/**
 * `test` for stories of whole commands, each of which takes seconds whatever the engine: one engine has one half of them and
 * the other the other, by their names. With AUTHSERVER_FAULTS=long, and where one engine is left out, there is no turn.
 */
export function inTurn(engine: Engine): (name: string, ...story: Story) => void {
  const isHeld = isLong || engines.length < ALL.length;
  return (name, ...story) => {
    const turn = ALL[createHash('sha256').update(name).digest().readUInt8() % ALL.length] ?? engine;
    if (isHeld || turn === engine) Reflect.apply(test, undefined, [name, ...story]);
    else test.skip(`${name} (in turn: runs on ${turn.name})`, () => undefined);
  };
}

type Work = () => Promise<void>;
type Limit = { readonly timeout: number } | number;
/** A limit before the work or after it, as `test` takes both. */
type Story = readonly [Work] | readonly [Limit, Work] | readonly [Work, Limit];

/** An empty store: a path in a new folder, or a new database on the shared server. */
export function freshStorage(engine: Engine): Promise<FreshStorage> {
  return engine.name === 'sqlite' ? freshFile() : freshDatabase();
}

async function freshFile(): Promise<FreshStorage> {
  const dir = await mkdtemp(path.join(tmpdir(), 'authserver-sqlite-'));
  const dispose = () => rm(dir, { recursive: true, force: true });
  return {
    driver: 'sqlite',
    path: path.join(dir, 'authserver.db'),
    dir,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

async function freshDatabase(): Promise<FreshStorage> {
  const server = inject('postgresDsn');
  if (!server) throw new Error('This run has no PostgreSQL: AUTHSERVER_TEST_ENGINES leaves it out.');
  const name = `test_${randomBytes(8).toString('hex')}`;
  await query(server, `create database ${name} template ${BLANK} strategy file_copy`);
  const dsn = new URL(server);
  dsn.pathname = `/${name}`;
  const dispose = async () => {
    await query(server, `drop database if exists ${name} with (force)`);
  };
  return { driver: 'postgres', dsn: dsn.href, dispose, [Symbol.asyncDispose]: dispose };
}

/** A PostgreSQL server that only this test uses, so that it may stop it and start it again. */
export function ownPostgres(): Promise<Cluster> {
  return startCluster();
}
