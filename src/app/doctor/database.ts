/** The database as the doctor sees it: looked at beside whoever works on it, never written, and missing where it is away. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { asFailure } from '../../kernel/errors.ts';
import { type Absent, absent, type DatabaseFacts } from '../../ops/doctor/facts.ts';
import { examineSchema } from '../../store/migrations/plan.ts';
import { nameOf } from '../../store/migrations/timeline.ts';
import type { Onlooker } from '../../store/onlooker.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { checkDeployment } from '../deployment.ts';
import { openOnlooker } from '../open-store.ts';
import { stateFiles } from '../state-dir.ts';
import { hostOf } from './dsn.ts';

export interface LookedAt {
  readonly facts: DatabaseFacts | Absent;
  /** Undefined where nothing can be read of it. */
  readonly onlooker: Onlooker | undefined;
}

/** What there is in a database that nobody could read, or that is not for this program. */
export const UNREAD = absent('the database was not read: see the check `database`');

/** @param serverRuns a server holds the state directory, and with it the file */
export async function lookAtDatabase(config: Config, serverRuns: boolean): Promise<LookedAt> {
  const name = nameOfDatabase(config);
  const { storage, state_dir } = config;
  // What the file name means just now, nobody can tell.
  if (existsSync(path.join(state_dir, stateFiles.restore))) return unreadable(name, CUT_OFF);
  if (storage.driver === 'sqlite') {
    const { path: file } = storage.sqlite;
    if (!existsSync(file) || statSync(file).size === 0) return lookAtNothing(config, name);
    const { hotJournalOf } = await import('../../store/sqlite/onlooker.ts');
    if (!serverRuns && hotJournalOf(file) !== undefined) {
      // To read it would be to play the journal back, or to read half of what was written.
      const facts = absent('it was not opened: a journal lies beside it, see the check `sqlite-journal`');
      return { facts, onlooker: undefined };
    }
  }
  return attempt(config, name);
}

const CUT_OFF = {
  finding: 'a restore is under way, or was cut off before it was done',
  hint: 'If none runs, the next start brings it to its end, or clears it away: `authserver serve`.',
};

async function attempt(config: Config, name: string): Promise<LookedAt> {
  let onlooker: Onlooker | undefined;
  try {
    onlooker = await openOnlooker(storageChoice(config));
    const { applied, pending, deployment } = await examineSchema(onlooker);
    checkDeployment(config.state_dir, deployment);
    const isEmpty = applied.length === 0;
    const facts = { name, trouble: undefined, isEmpty, pending: pending.map(nameOf) };
    if (pending.length === 0) return { facts, onlooker };
    await onlooker.close();
    return { facts, onlooker: undefined };
  } catch (error) {
    await onlooker?.close();
    return unreadable(name, troubleOf(error, name, config));
  }
}

function unreadable(name: string, trouble: DatabaseFacts['trouble']): LookedAt {
  return { facts: { name, trouble, isEmpty: false, pending: [] }, onlooker: undefined };
}

/** An empty place is well, unless the state directory knows of a database that should be in it. */
function lookAtNothing(config: Config, name: string): LookedAt {
  try {
    checkDeployment(config.state_dir, undefined);
    return { facts: { name, trouble: undefined, isEmpty: true, pending: [] }, onlooker: undefined };
  } catch (error) {
    return unreadable(name, troubleOf(error, name, config));
  }
}

function troubleOf(error: unknown, name: string, { storage }: Config): DatabaseFacts['trouble'] {
  const { code, message, detail, hint } = asFailure(error);
  if (code === 'refused') return { finding: message.replace(/\.$/, ''), hint: hint ?? '' };
  const finding = `${name} does not answer: ${detail ?? message}`;
  return {
    finding,
    hint:
      storage.driver === 'sqlite'
        ? 'Keep a copy of the file and what lies beside it; where it is damaged: `authserver restore --latest --plan`.'
        : 'See that the server runs and that storage.postgres.dsn names it: `pg_isready`, `authserver config print`.',
  };
}

function nameOfDatabase({ storage }: Config): string {
  if (storage.driver === 'sqlite') return storage.sqlite.path;
  const dsn = storage.postgres.dsn ?? '';
  return `${URL.canParse(dsn) ? decodeURIComponent(new URL(dsn).pathname.slice(1)) : ''} on ${hostOf(dsn)}`;
}
