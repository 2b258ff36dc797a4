/** A schema of its own, in which a second database of ours lives beside the first for a while. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { Failure } from '../../kernel/errors.ts';
import type { PostgresOptions } from './connect.ts';
import { fromPostgres } from './errors.ts';

const SCRATCH_NAME = /^authserver_scratch_[0-9a-f]{12}$/;

export interface ScratchSchema {
  readonly name: string;
  /** The same database, its tables looked for in this schema alone. */
  readonly options: PostgresOptions;
}

/** A name that no other scratch schema has. */
export function scratchSchemaName(): string {
  return `authserver_scratch_${randomBytes(6).toString('hex')}`;
}

/** Failures: `configuration` when the role may not make schemas, `unavailable`. */
export async function makeScratchSchema(
  options: PostgresOptions,
  name = scratchSchemaName(),
): Promise<ScratchSchema> {
  await inDatabase(options, `create schema ${name}`);
  return {
    name,
    options: { ...options, dsn: withSearchPath(options.dsn, name), channel: name },
  };
}

/** With what a restore into it has put aside. Nothing happens when it is not there. Failures: `unavailable`. */
export async function dropScratchSchema(options: PostgresOptions, name: string): Promise<void> {
  if (!isScratchSchema(name)) throw new TypeError(`${name} is not the name of a scratch schema`);
  await inDatabase(
    options,
    `do $$ declare found name; begin
      for found in select nspname from pg_namespace where starts_with(nspname, '${besideScratch(name)}') loop
        execute format('drop schema %I cascade', found);
      end loop;
    end $$;
    drop schema if exists ${name} cascade`,
  );
}

export function isScratchSchema(name: string): boolean {
  return SCRATCH_NAME.test(name);
}

/** What the names of schemas begin with that go with a scratch schema. */
export function besideScratch(name: string): string {
  return `${name}_before_`;
}

/** Takes a table out of a scratch schema, with what refers to it: for a rehearsal of its loss. Failures: `unavailable`. */
export async function dropScratchTable(
  options: PostgresOptions,
  name: string,
  table: 'clients',
): Promise<void> {
  if (!isScratchSchema(name)) throw new TypeError(`${name} is not the name of a scratch schema`);
  await inDatabase(options, `drop table ${name}.${table} cascade`);
}

/** Takes everything out of a scratch schema. Failures: as `makeScratchSchema`. */
export async function emptyScratchSchema(options: PostgresOptions, name: string): Promise<void> {
  await dropScratchSchema(options, name);
  await inDatabase(options, `create schema ${name}`);
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
