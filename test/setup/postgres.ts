// What vitest runs once around all tests: one PostgreSQL server that they share, each in a database of its own.

import type { TestProject } from 'vitest/node';
import { query, startCluster } from './cluster.ts';
import { BLANK } from './engines.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The shared PostgreSQL server's own database; undefined when the run leaves PostgreSQL out. */
    postgresDsn: string | undefined;
  }
}

/** Starts the server, hands its address to the tests and returns what stops it. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (process.env.AUTHSERVER_TEST_ENGINES === 'sqlite') {
    project.provide('postgresDsn', undefined);
    return;
  }
  const cluster = await startCluster();
  // A database is copied from this one in a quarter of the time that it takes from template1.
  await query(cluster.dsn(), `create database ${BLANK}`);
  project.provide('postgresDsn', cluster.dsn());
  return () => cluster.dispose();
}
