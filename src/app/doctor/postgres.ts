/** What PostgreSQL says of itself, and which of its tools are at hand. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { PostgresFacts, SafetyCopy } from '../../ops/doctor/facts.ts';
import type { Onlooker } from '../../store/onlooker.ts';
import type { Config } from '../config.ts';

const SETTINGS = [
  'fsync',
  'full_page_writes',
  'synchronous_commit',
  'max_connections',
  'superuser_reserved_connections',
  'reserved_connections',
  'server_version',
  'server_version_num',
];
const TOOLS = [
  { name: 'pg_dump', argument: '--version' },
  { name: 'pgbackrest', argument: 'version' },
];
/** ms */
const TOOL_PATIENCE = 5000;

export async function gatherPostgres({ storage }: Config, onlooker: Onlooker): Promise<PostgresFacts> {
  const names = SETTINGS.map((name) => `'${name}'`).join(', ');
  const rows = await onlooker.all(`select name, setting from pg_settings where name in (${names})`);
  const settings = Object.fromEntries(rows.map((row) => [String(row['name']), String(row['setting'])]));
  const number = (name: string) => Number(settings[name] ?? 0);
  return {
    version: (settings['server_version'] ?? '').split(' ')[0] ?? '',
    major: Math.floor(number('server_version_num') / 10_000),
    settings,
    maxConnections: number('max_connections'),
    reserved: number('superuser_reserved_connections') + number('reserved_connections'),
    pool: storage.postgres.max_conns,
    tools: (await Promise.all(TOOLS.map(lookForTool))).filter((tool) => tool !== undefined),
  };
}

/** Undefined where it is not in PATH, or does not work. */
async function lookForTool({
  name,
  argument,
}: (typeof TOOLS)[number]): Promise<PostgresFacts['tools'][number] | undefined> {
  try {
    const { stdout } = await promisify(execFile)(name, [argument], { timeout: TOOL_PATIENCE });
    const version = /\d+(\.\d+)*/.exec(stdout)?.[0];
    return version === undefined ? undefined : { name, version, major: Number.parseInt(version, 10) };
  } catch {
    return undefined;
  }
}

/** Schemas in which restores have put the present tables aside. */
export async function copiesInPostgres(onlooker: Onlooker): Promise<readonly SafetyCopy[]> {
  const rows = await onlooker.all(
    `select n.nspname as name, coalesce(sum(pg_total_relation_size(c.oid)), 0) as size
     from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relkind = 'r'
     where n.nspname like 'authserver\\_before\\_%' group by n.nspname order by n.nspname`,
  );
  return rows.map(({ name, size }) => ({ name: String(name), size: Number(size), from: 'restore' }));
}
