import { describe, expect, it } from 'vitest';
import type { ArchivingFacts } from '../../store/archiving.ts';
import { parseRepository } from './repository.ts';
import { judgeRecovery, type Observation } from './status.ts';

const NOW = Date.UTC(2026, 10, 22, 12);
const DAY = 86_400_000;
const SYSTEM = '7710822260018017844';

const facts: ArchivingFacts = {
  now: NOW,
  version: 150016,
  systemId: SYSTEM,
  dataDirectory: null,
  superuser: false,
  inRecovery: false,
  walLevel: 'replica',
  archiveMode: 'on',
  archiveCommand: 'push %p',
  archiveLibrary: '',
  archiveTimeout: 30_000,
  pendingRestart: false,
  segmentBytes: 16 * 1024 * 1024,
  currentSegment: '0000000100000000000000A1',
  archiver: {
    lastArchived: { file: '0000000100000000000000A0', at: NOW - 5000 },
    lastFailed: null,
    failures: 0,
    since: 0,
  },
  queue: null,
};

interface Made {
  readonly label: string;
  readonly type?: string;
  readonly stop: number;
  readonly from?: string;
  readonly error?: boolean;
}

const wal = (last: string) => `0000000100000000000000${last}`;

/** What pgBackRest 2.45 prints, cut down to what is read. */
function info(backups: readonly Made[], status = { code: 0, message: 'ok' }): string {
  const backup = backups.map(({ label, type = 'full', stop, from = '10', error = false }) => ({
    archive: { start: wal(from), stop: wal(from) },
    database: { id: 1, 'repo-key': 1 },
    error,
    info: { delta: 1, size: 22_992_495 },
    label,
    timestamp: { start: stop / 1000 - 3, stop: stop / 1000 },
    type,
  }));
  const text = JSON.stringify([
    {
      archive: [{ database: { id: 1, 'repo-key': 1 }, id: '15-1', max: wal('A0'), min: wal('10') }],
      backup,
      cipher: 'aes-256-cbc',
      db: [{ id: 1, 'repo-key': 1, 'system-id': 0, version: '15' }],
      name: 'main',
      status,
    },
  ]);
  // More digits than a double holds, as pgBackRest writes them.
  return text.replace('"system-id":0', `"system-id":${SYSTEM}`);
}

function seen(text: string, changes: Partial<Observation> = {}): Observation {
  return {
    by: 'pgbackrest',
    stanza: { config: '/c', stanza: 'main' },
    seen_at: NOW - 3_600_000,
    repository: parseRepository(text, 'main'),
    round_trip_at: NOW - DAY,
    round_trip_ms: 2000,
    ...changes,
  };
}

const fresh = [
  { label: 'a', stop: NOW - 7 * DAY },
  { label: 'b', stop: NOW - DAY },
  { label: 'c', type: 'diff', stop: NOW - 3_600_000 },
];
const judge = (observation: Observation | undefined, changes: Partial<ArchivingFacts> = {}) =>
  judgeRecovery({ ...facts, ...changes }, observation, 60_000);
const errors = (observation: Observation | undefined, changes: Partial<ArchivingFacts> = {}) =>
  judge(observation, changes).findings.map(({ level, says }) => `${level}: ${says}`);

describe('the status', () => {
  it('is green with a window from the oldest full backup to now without the lag', () => {
    expect(judge(seen(info(fresh)))).toMatchObject({
      ok: true,
      findings: [],
      recovery_lag_seconds: 5,
      window: { from: NOW - 7 * DAY + 1000, to: NOW - 5000 },
      last_full: NOW - DAY,
      last_backup: NOW - 3_600_000,
    });
  });

  it('does not count a backup whose log is gone or whose pages are damaged', () => {
    const gone = info([{ ...fresh[0]!, from: '0F' }, { ...fresh[1]! }]);
    expect(judge(seen(gone)).window?.from).toBe(NOW - DAY + 1000);
    const damaged = seen(info([fresh[1]!, { label: 'd', stop: NOW - 1000, error: true }]));
    expect(judge(damaged)).toMatchObject({ ok: false, last_full: NOW - DAY });
    expect(errors(damaged).join()).toContain('Backup d holds damaged pages');
  });

  it.each<[string, Observation | undefined, Partial<ArchivingFacts>, string]>([
    ['nobody has set it up', undefined, {}, 'error: Nobody has set up'],
    [
      'the repository is gone',
      seen(info([], { code: 1, message: 'missing stanza path' })),
      {},
      'error: The repository of pgBackRest cannot be used: missing stanza path',
    ],
    [
      'the stanza is not in it',
      seen('[]'),
      {},
      'error: The repository of pgBackRest cannot be used: no such stanza',
    ],
    ['there is no backup', seen(info([])), {}, 'error: The repository has no backup'],
    [
      'the newest backup is old',
      seen(info([{ label: 'a', stop: NOW - 9 * DAY }])),
      {},
      'error: The newest backup is from',
    ],
    [
      'it is the repository of another cluster',
      seen(info(fresh)),
      { systemId: '7710822260018017845' },
      'error: The repository belongs to another cluster',
    ],
    [
      'nothing was ever restored',
      seen(info(fresh), { round_trip_at: null }),
      {},
      'error: No restore has been tried yet',
    ],
    [
      'the last try is long ago',
      seen(info(fresh), { round_trip_at: NOW - 101 * DAY }),
      {},
      'warning: No restore has been tried since',
    ],
    [
      'nobody has looked for days',
      seen(info(fresh), { seen_at: NOW - 2 * DAY }),
      {},
      'warning: Nobody has looked at the repository',
    ],
    ['the archiver fails', seen(info(fresh)), { archiveMode: 'off' }, 'error: PostgreSQL archives nothing'],
  ])('says when %s', (_, observation, changes, says) => {
    expect(errors(observation, changes).filter((line) => line.startsWith(says))).toHaveLength(1);
    expect(judge(observation, changes).ok).toBe(!says.startsWith('error'));
  });

  it('of a provider goes by what SQL sees, and does not pretend to know a window', () => {
    const provider = seen('[]', { by: 'provider', stanza: null, repository: null, round_trip_at: null });
    expect(judge(provider)).toMatchObject({ ok: true, window: null, recovery_lag_seconds: 5 });
    expect(judge(provider, { archiveMode: 'off' })).toMatchObject({ ok: true, recovery_lag_seconds: null });
    const failing = { archiver: { ...facts.archiver, lastFailed: { file: wal('A1'), at: NOW } } };
    expect(judge(provider, failing).ok).toBe(false);
  });
});

describe('the answer of pgBackRest', () => {
  it('keeps every digit of the system id', () => {
    expect(parseRepository(info(fresh), 'main').system_id).toBe(SYSTEM);
  });

  it.each(['', 'null', '{}', 'ERROR: [031]'])('is no answer when it is %j', (text) => {
    expect(() => parseRepository(text, 'main')).toThrow(expect.objectContaining({ code: 'failed' }));
  });
});
