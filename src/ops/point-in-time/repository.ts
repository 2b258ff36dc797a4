/** What `pgbackrest info --output=json` tells of one stanza. */
import { Failure } from '../../kernel/errors.ts';

export interface RepositoryBackup {
  readonly label: string;
  readonly type: 'full' | 'diff' | 'incr';
  /** ms, of whole seconds. */
  readonly started_at: number;
  readonly stopped_at: number;
  /** Of the database, bytes. */
  readonly size: number;
  /** Pages did not have the checksum that they should. */
  readonly damaged: boolean;
  /** The log that makes it whole is there. */
  readonly restorable: boolean;
}

export interface Repository {
  /** It is there, and has backups of this cluster. */
  readonly ok: boolean;
  /** In the words of pgBackRest. */
  readonly message: string;
  /** Of PostgreSQL, such as `15`; null before the first contact. */
  readonly version: string | null;
  readonly system_id: string | null;
  /** Oldest first. */
  readonly backups: readonly RepositoryBackup[];
}

interface InfoBackup {
  readonly label: string;
  readonly type: RepositoryBackup['type'];
  readonly error?: boolean | null;
  readonly timestamp: { readonly start: number; readonly stop: number };
  readonly info: { readonly size: number };
  readonly archive: { readonly start: string | null; readonly stop: string | null };
  readonly database: { readonly id: number };
}

interface InfoStanza {
  readonly name: string;
  readonly status: { readonly code: number; readonly message: string };
  readonly db: readonly { readonly id: number; readonly version: string; readonly 'system-id': string }[];
  readonly archive: readonly {
    readonly database: { readonly id: number };
    readonly min: string | null;
    readonly max: string | null;
  }[];
  readonly backup: readonly InfoBackup[];
}

/** Failures: `failed` for text that is no answer of pgBackRest. */
export function parseRepository(text: string, stanza: string): Repository {
  const found = stanzas(text).find(({ name }) => name === stanza);
  if (!found) {
    return { ok: false, message: 'no such stanza', version: null, system_id: null, backups: [] };
  }
  const db = found.db.at(-1);
  return {
    ok: found.status.code === 0,
    message: found.status.message,
    version: db?.version ?? null,
    system_id: db?.['system-id'] ?? null,
    backups: found.backup.map((backup) => asBackup(backup, found)),
  };
}

function asBackup(backup: InfoBackup, { archive }: InfoStanza): RepositoryBackup {
  const { start, stop } = backup.archive;
  const log = archive.filter(({ database }) => database.id === backup.database.id);
  const holds = (segment: string | null) =>
    segment !== null &&
    log.some(({ min, max }) => min !== null && max !== null && min <= segment && segment <= max);
  return {
    label: backup.label,
    type: backup.type,
    started_at: backup.timestamp.start * 1000,
    stopped_at: backup.timestamp.stop * 1000,
    size: backup.info.size,
    damaged: backup.error === true,
    restorable: holds(start) && holds(stop),
  };
}

function stanzas(text: string): readonly InfoStanza[] {
  try {
    const value: unknown = JSON.parse(text, asWritten);
    if (Array.isArray(value)) return value as InfoStanza[];
  } catch {
    // Told below.
  }
  throw new Failure('failed', 'pgBackRest did not answer with a list of stanzas.', {
    detail: text.slice(0, 200),
    hint: 'Run `pgbackrest info --output=json` by hand, and see that its version is 2.30 or later.',
  });
}

/** 64 bits are beyond what a double holds, so they are kept as they were written. */
function asWritten(key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return key === 'system-id' ? (context?.source ?? String(value)) : value;
}
