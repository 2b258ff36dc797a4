/** Whether SQLite itself, and the file that it keeps, can be relied on. */
import type { Facts } from './facts.ts';
import { failing, skipped, type Verdict, verdict, warning } from './finding.ts';
import { shellWord } from './words.ts';

type Version = readonly [number, number, number];

/** The versions that can lose commits when a checkpoint and a commit of two connections meet (sqlite.org/wal.html). */
const RACE = { from: [3, 7, 0], to: [3, 51, 2] } as const;
/** Older lines that have been mended all the same: from this patch on. */
const MENDED: readonly Version[] = [
  [3, 44, 6],
  [3, 50, 7],
];
const WITHDRAWN: Version = [3, 52, 0];

export function judgeLibrary({ sqliteLibrary: { version } }: Pick<Facts, 'sqliteLibrary'>): Verdict {
  const read = readVersion(version);
  const hint =
    'Run authserver on a newer Node, which brings its own SQLite (`authserver version` shows both).';
  if (read === undefined)
    return verdict('', [warning(`SQLite calls itself ${version}, which says nothing`, hint)]);
  if (isRacy(read)) {
    const finding = `SQLite ${version} can lose commits and damage the file (the WAL-reset race of 3.7.0 to 3.51.2)`;
    return verdict('', [failing(finding, hint)]);
  }
  if (compare(read, WITHDRAWN) === 0)
    return verdict('', [failing(`SQLite ${version} was withdrawn by its makers`, hint)]);
  return verdict(`SQLite ${version} is outside the versions that are known to lose commits`, []);
}

export function judgeJournal({ sqliteFile }: Pick<Facts, 'sqliteFile'>): Verdict {
  const { path, journal, wantsWal, hotJournal } = sqliteFile;
  const names = { wal: 'a write-ahead log', rollback: 'a rollback journal' };
  const wanted = wantsWal ? 'wal' : 'rollback';
  return verdict(`${path} works with ${names[journal]}, as storage.sqlite.wal says`, [
    hotJournal === undefined ? undefined : leftJournal(hotJournal, journal),
    journal === wanted
      ? undefined
      : warning(
          `${path} works with ${names[journal]}, and storage.sqlite.wal is ${wantsWal}`,
          'The next start changes it: restart the server.',
        ),
  ]);
}

/** It holds pages that a killed writer had begun to replace: the next who opens the database puts them back. */
function leftJournal(file: string, journal: 'wal' | 'rollback') {
  const keep = `Copy ${shellWord(file)} and the database elsewhere first, and never delete it by hand.`;
  return journal === 'rollback'
    ? warning(
        `a writer that was killed has left ${file}; the next start undoes what it had not finished`,
        `${keep} Then start the server: \`authserver serve\`.`,
      )
    : failing(
        `${file} lies beside a database that uses no such journal: it is of another file, and SQLite would play it back into this one`,
        `${keep} Then find out where the database came from, and bring back a backup: \`authserver restore --latest --plan\`.`,
      );
}

export function judgeIntegrity({ integrity }: Pick<Facts, 'integrity'>): Verdict {
  const { problems, skipped: why } = integrity;
  if (problems === undefined) return skipped(why);
  const [first] = problems;
  return verdict('`quick_check` finds nothing wrong in the database file', [
    first === undefined
      ? undefined
      : failing(
          `the database file is damaged: ${first}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`,
          'Stop the server, keep a copy of the file and what lies beside it, and bring back the newest proven backup: `authserver restore --latest --plan`.',
        ),
  ]);
}

function isRacy(version: Version): boolean {
  if (compare(version, RACE.from) < 0 || compare(version, RACE.to) > 0) return false;
  const line = MENDED.find(([major, minor]) => version[0] === major && version[1] === minor);
  return line === undefined || compare(version, line) < 0;
}

function readVersion(text: string): Version | undefined {
  const [, major, minor, patch = '0'] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  return major === undefined ? undefined : [Number(major), Number(minor), Number(patch)];
}

function compare(one: Version, other: Version): number {
  return one[0] - other[0] || one[1] - other[1] || one[2] - other[2];
}
