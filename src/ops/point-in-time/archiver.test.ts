import { describe, expect, it } from 'vitest';
import type { ArchivingFacts } from '../../store/archiving.ts';
import { judgeArchiver } from './archiver.ts';

const NOW = Date.UTC(2026, 10, 22, 12);
const MINUTE = 60_000;

const segment = (number: number) =>
  `00000001${Math.floor(number / 256)
    .toString(16)
    .padStart(8, '0')}${(number % 256).toString(16).padStart(8, '0')}`.toUpperCase();

/** A server that archives as it should: segment 9 came 10 s ago, 10 is being written. */
const sound: ArchivingFacts = {
  now: NOW,
  version: 150016,
  systemId: '7710822260018017844',
  dataDirectory: '/var/lib/postgresql/15/main',
  superuser: false,
  inRecovery: false,
  walLevel: 'replica',
  archiveMode: 'on',
  archiveCommand: 'push %p',
  archiveLibrary: '',
  archiveTimeout: 30_000,
  pendingRestart: false,
  segmentBytes: 16 * 1024 * 1024,
  currentSegment: segment(10),
  archiver: {
    lastArchived: { file: segment(9), at: NOW - 10_000 },
    lastFailed: null,
    failures: 0,
    since: NOW - 90 * MINUTE,
  },
  queue: null,
};

const judge = (changes: Partial<ArchivingFacts>) => judgeArchiver({ ...sound, ...changes }, MINUTE);
const archived = (file: string, ago: number) => ({
  ...sound.archiver,
  lastArchived: { file, at: NOW - ago },
});

describe('the lag of the archive', () => {
  it('is the time since the last segment was closed', () => {
    expect(judge({})).toEqual({ lag: 10_000, waiting: 0, findings: [] });
    const closed = { queue: { waiting: 0, closedAt: NOW - 12_000 } };
    expect(judge(closed).lag, 'which is before it arrived').toBe(12_000);
  });

  it('is at most archive_timeout on a server with nothing to do, however long ago the last segment came', () => {
    expect(judge({ archiver: archived(segment(9), 9 * 60 * MINUTE) })).toEqual({
      lag: 30_000,
      waiting: 0,
      findings: [],
    });
  });

  it('grows without an end where archive_timeout is 0, and says so', () => {
    const { lag, findings } = judge({
      archiveTimeout: 0,
      archiver: archived(segment(9), 5 * MINUTE),
    });
    expect(lag).toBe(5 * MINUTE);
    expect(findings.map(({ level }) => level)).toEqual(['error', 'warning']);
  });

  it('counts from the last segment that came while others wait', () => {
    const { lag, waiting, findings } = judge({
      currentSegment: segment(13),
      archiver: archived(segment(9), 2 * MINUTE),
    });
    expect({ lag, waiting }).toEqual({ lag: 2 * MINUTE, waiting: 3 });
    expect(findings).toMatchObject([{ level: 'error', says: expect.stringContaining('3 segments wait') }]);
  });

  it.each([
    ['across the end of a log file', segment(255), segment(257), 1],
    ['at the boundary of a segment', segment(10), segment(10), 0],
    [
      'after a change of timeline, which nobody can count',
      segment(9).replace(/^00000001/, '00000002'),
      segment(40),
      0,
    ],
    ['behind the label of a backup, which is no segment', `${segment(3)}.00000028.backup`, segment(10), 0],
    ['behind a history file', '00000002.history', segment(10), 0],
  ])('%s', (_, last, current, waiting) => {
    expect(judge({ currentSegment: current, archiver: archived(last, 1000) }).waiting).toBe(waiting);
  });
});

describe('the findings', () => {
  it('are red as soon as one try has failed after the last that worked, and not before', () => {
    const failed = (at: number) => ({
      ...sound.archiver,
      failures: 3,
      lastFailed: { file: segment(10), at },
    });
    expect(judge({ archiver: failed(NOW - 20_000) }).findings).toEqual([]);
    expect(judge({ archiver: failed(NOW - 1000) })).toMatchObject({
      waiting: 1,
      findings: [{ level: 'error', says: expect.stringContaining('Archiving fails') }],
    });
    const never = { ...failed(NOW - 1000), lastArchived: null };
    expect(judge({ archiver: never }).findings).toMatchObject([
      { says: expect.stringContaining('none has worked') },
    ]);
  });

  it.each<[string, Partial<ArchivingFacts>, string]>([
    ['archive_mode is off', { archiveMode: 'off' }, 'archive_mode is off'],
    ['there is no command', { archiveCommand: '' }, 'archive_command is empty'],
    ['wal_level is minimal', { walLevel: 'minimal' }, 'wal_level is minimal'],
  ])('say that there is no lag to tell where %s', (_, changes, says) => {
    expect(judge(changes)).toMatchObject({
      lag: null,
      findings: [{ level: 'error', says: expect.stringContaining(says) }],
    });
  });

  it('take an archive library for a command', () => {
    expect(judge({ archiveCommand: '', archiveLibrary: 'basic_archive' }).findings).toEqual([]);
  });

  it('tell of a restart that is due', () => {
    expect(judge({ archiveMode: 'off', pendingRestart: true }).findings[0]?.hint).toContain(
      'Restart PostgreSQL',
    );
    expect(judge({ pendingRestart: true }).findings).toMatchObject([{ level: 'warning' }]);
  });
});
