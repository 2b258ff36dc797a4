/** Whether the PostgreSQL server keeps what it acknowledges, and whether the tools at hand fit it. */
import type { Facts } from './facts.ts';
import { failing, type Trouble, type Verdict, verdict, warning } from './finding.ts';

/** The oldest that its makers still mend (postgresql.org/support/versioning). */
const OLDEST_SUPPORTED = 14;

/** A server needs a connection to listen on, and a command one or two of its own. */
const BESIDE_THE_POOL = 3;

export function judgeServer({ postgres: { version, major } }: Pick<Facts, 'postgres'>): Verdict {
  return verdict(`PostgreSQL ${version} is supported`, [
    major >= OLDEST_SUPPORTED
      ? undefined
      : warning(
          `PostgreSQL ${version} is no longer mended by its makers`,
          `Upgrade the server to ${OLDEST_SUPPORTED} or later; until then make backups before and after.`,
        ),
  ]);
}

/** What each setting must not be, and what is lost with it. */
const DURABLE: readonly { readonly name: string; readonly loses: string }[] = [
  { name: 'fsync', loses: 'a crash of the machine may destroy the database' },
  { name: 'full_page_writes', loses: 'a crash of the machine may leave half-written pages' },
  { name: 'synchronous_commit', loses: 'a crash loses what was acknowledged just before' },
];

export function judgeDurability({ postgres: { settings } }: Pick<Facts, 'postgres'>): Verdict {
  return verdict(
    'what is acknowledged is on disk',
    DURABLE.map(({ name, loses }) =>
      settings[name] === 'off'
        ? failing(`${name} is off: ${loses}`, `\`alter system set ${name} = on; select pg_reload_conf();\``)
        : undefined,
    ),
  );
}

export function judgeConnections({ postgres }: Pick<Facts, 'postgres'>): Verdict {
  const { maxConnections, reserved, pool } = postgres;
  const usable = maxConnections - reserved;
  const needed = pool + BESIDE_THE_POOL;
  return verdict(`${usable} connections for up to ${Math.floor(usable / needed)} servers of ${needed} each`, [
    needed <= usable
      ? undefined
      : failing(
          `one server may want ${needed} connections, and there are ${usable} (max_connections ${maxConnections}, ${reserved} reserved)`,
          'Lower storage.postgres.max_conns, or raise max_connections of PostgreSQL.',
        ),
  ]);
}

/** pg_dump refuses a server that is newer than itself, and says so only when it is needed. */
export function judgeTools({ postgres: { major, version, tools } }: Pick<Facts, 'postgres'>): Verdict {
  const troubles = tools.map((tool): Trouble | undefined =>
    tool.name === 'pg_dump' && tool.major < major
      ? warning(
          `pg_dump ${tool.version} refuses a PostgreSQL ${version}`,
          `Install the client tools of PostgreSQL ${major}; backups of authserver itself need none.`,
        )
      : undefined,
  );
  const found = tools.map((tool) => `${tool.name} ${tool.version}`).join(', ');
  return verdict(
    found === '' ? 'no tools of PostgreSQL in PATH; none is needed' : `found ${found}`,
    troubles,
  );
}
