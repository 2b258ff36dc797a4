/** A schema of its own, in which a second database of ours lives beside the first for a while. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { PostgresOptions } from './connect.ts';
import { fromPostgres } from './errors.ts';

export interface ScratchSchema {
  readonly name: string;
  /** The same database, its tables looked for in this schema alone. */
  readonly options: PostgresOptions;
  drop(): Promise<void>;
}

/** Failures: `configuration` when the role may not make schemas, `unavailable`. */
export async function makeScratchSchema(options: PostgresOptions): Promise<ScratchSchema> {
  const name = `authserver_scratch_${randomBytes(6).toString('hex')}`;
  await inDatabase(options, `create schema ${name}`);
  return {
    name,
    options: { ...options, dsn: withSearchPath(options.dsn, name) },
    drop: () => inDatabase(options, `drop schema if exists ${name} cascade`),
  };
}

export function withSearchPath(dsn: string, schema: string): string {
  const url = new URL(dsn);
  const before = url.searchParams.get('options');
  url.searchParams.set('options', `${before === null ? '' : `${before} `}-c search_path=${schema}`);
  return url.href;
}

const MAY_NOT = '42501';

async function inDatabase({ dsn, connectTimeout }: PostgresOptions, text: string): Promise<void> {
  const client = new Client({ connectionString: dsn, connectionTimeoutMillis: connectTimeout });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(text);
  } catch (error) {
    if ((error as { code?: string }).code !== MAY_NOT) throw fromPostgres(error);
    throw new Failure('configuration', 'The role of storage.postgres.dsn may not make a schema of its own.', {
      hint: 'Let it: `grant create on database NAME to ROLE`. A backup is tried in a schema that is dropped afterwards.',
      cause: error,
    });
  } finally {
    await client.end();
  }
}
