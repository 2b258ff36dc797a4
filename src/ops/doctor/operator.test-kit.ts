// Owns what the checks of backups, schedules and exposure say, each on both sides of its rule.

import type { KnownBackup } from './facts.ts';
import { ARCHIVED, backup, type Cases, DAY, NOW, onBoth, SHIPPED, shipped, target } from './well.test-kit.ts';

const eighth = (state: KnownBackup['state']) =>
  onBoth.map((seventh) => ({ ...seventh, sequence: 8, id: 'b-8', state }));

export const operatorCases: Cases = {
  'backup-age': [
    [
      'old',
      { backups: { backups: [backup({ madeAt: NOW - DAY - 1 })] } },
      'fail',
      /24 hours old, and may be 24 hours/,
    ],
    ['none of an old deployment', { backups: { backups: [] } }, 'fail', /there is no verified backup$/],
    [
      'none of a new deployment',
      { backups: { backups: [], since: NOW - 1000 } },
      'warn',
      /no verified backup yet/,
    ],
    [
      'only unverified ones',
      { backups: { backups: [backup({ state: 'unverified' })] } },
      'fail',
      /no verified backup/,
    ],
    [
      'the newest one of several',
      { backups: { backups: [backup({ sequence: 6, madeAt: NOW - 9 * DAY }), backup()] } },
      'ok',
      /12 hours old/,
    ],
    [
      'a target that does not answer, and a good memory',
      { backups: { targets: [{ ...target, trouble: 'gone' }], backups: [] } },
      'ok',
      /12 hours old/,
    ],
  ],
  'backup-newest': [
    ['none', { backups: { backups: [], remembered: undefined } }, 'skipped', /no target shows a backup/],
    [
      'unverified',
      { backups: { backups: [...onBoth, ...eighth('unverified')] } },
      'warn',
      /b-8 on away has not been tried/,
    ],
    [
      'failed',
      { backups: { backups: [...onBoth, ...eighth('failed')] } },
      'fail',
      /b-8 on away did not pass/,
    ],
    [
      'failed on one of two targets',
      { backups: { backups: [backup(), backup({ target: 'local', state: 'failed' })] } },
      'fail',
      /b-7 on local did not pass/,
    ],
    [
      'an older one that failed',
      { backups: { backups: [...onBoth, backup({ sequence: 6, id: 'b-6', state: 'failed' })] } },
      'ok',
      /b-7 is verified/,
    ],
    [
      'the last verified one gone',
      { backups: { backups: [backup({ sequence: 6, id: 'b-6' })] } },
      'fail',
      /b-7, the last verified one, is on no target/,
    ],
    ['all of them gone', { backups: { backups: [] } }, 'fail', /b-7, the last verified one, is on no target/],
    [
      'a target that has none',
      { backups: { backups: [backup()] } },
      'warn',
      /^backup target local \(\/mnt\/away\) has no backup, and the newest, b-7, is elsewhere$/,
    ],
    [
      'a target that has only older ones',
      {
        backups: {
          backups: [
            ...onBoth,
            backup({ sequence: 8, id: 'b-8', target: 'local' }),
            backup({ sequence: 6, id: 'b-6' }),
          ],
        },
      },
      'warn',
      /^backup target away \(\/mnt\/away\) does not have the newest backup, b-8$/,
    ],
    [
      'a target that has none, while the one that is remembered is on another that does not answer',
      { backups: { backups: [], targets: [target, { ...target, name: 'b', trouble: 'gone' }] } },
      'warn',
      /^backup target away \(\/mnt\/away\) has no backup, and the newest, b-7, is elsewhere$/,
    ],
    [
      'older ones only, while the one that is remembered is on another that does not answer',
      {
        backups: {
          backups: [backup({ sequence: 6, id: 'b-6', madeAt: NOW - DAY })],
          targets: [target, { ...target, name: 'b', trouble: 'gone' }],
        },
      },
      'warn',
      /^backup target away \(\/mnt\/away\) does not have the newest backup, b-7$/,
    ],
    [
      'a newer one than the one that is remembered, which was not tried, while another does not answer',
      {
        backups: {
          backups: [backup({ sequence: 8, id: 'b-8', madeAt: NOW })],
          targets: [target, { ...target, name: 'b', trouble: 'gone' }],
        },
      },
      'ok',
      /b-8 is verified/,
    ],
    [
      'nobody knows while a target is away',
      { backups: { backups: [], targets: [{ ...target, trouble: 'gone' }] } },
      'skipped',
      /no target/,
    ],
  ],
  'backup-targets': [
    [
      'one that does not answer',
      { backups: { targets: [target, { ...target, name: 'b', trouble: 'ECONNREFUSED' }] } },
      'fail',
      /b \(\/mnt\/away\) does not answer: ECONNREFUSED/,
    ],
    ['one', { backups: { targets: [target] } }, 'warn', /on one target, away/],
    [
      'all on the disk of the database',
      {
        backups: {
          targets: [
            { ...target, besideDatabase: true },
            { ...target, name: 'b', besideDatabase: true },
          ],
        },
      },
      'warn',
      /on the disk of the database/,
    ],
  ],
  'recovery-key': [
    ['not confirmed', { recoveryKey: { confirmedAt: undefined } }, 'warn', /nobody has confirmed/],
    ['confirmed half a year ago', { recoveryKey: { confirmedAt: NOW - 180 * DAY } }, 'ok', /180 days/],
    ['confirmed long ago', { recoveryKey: { confirmedAt: NOW - 181 * DAY } }, 'warn', /181 days/],
    ['recipients only', { recoveryKey: { opens: 'recipients', confirmedAt: undefined } }, 'ok', /recipients/],
    ['a passphrase', { recoveryKey: { opens: 'passphrase', confirmedAt: undefined } }, 'ok', /passphrase/],
    ['none', { recoveryKey: { opens: 'nothing', confirmedAt: undefined } }, 'warn', /no recovery key/],
    ['no encryption', { recoveryKey: { opens: 'anybody', confirmedAt: undefined } }, 'warn', /not encrypted/],
  ],
  'recovery-log': [
    ['off', { recoveryLog: { by: 'nobody' } }, 'warn', /recovery\.log is off/],
    ['not begun', { recoveryLog: { ...SHIPPED, batch: undefined } }, 'ok', /next commit begins/],
    ['behind', { recoveryLog: shipped({ last: 38 }) }, 'fail', /2 commits .* not on away yet, since/],
    [
      'nothing there',
      { recoveryLog: shipped({ last: 0, until: undefined }) },
      'fail',
      /40 commits .* from its beginning/,
    ],
    [
      'behind, with nobody to ship it',
      { recoveryLog: shipped({ last: 38 }, { serverRuns: false }) },
      'warn',
      /2 commits/,
    ],
    [
      'damaged',
      { recoveryLog: shipped({ faults: ['batches 3 to 4 are missing'] }) },
      'fail',
      /damaged: batches 3 to 4/,
    ],
    [
      'a target that does not answer has its own check',
      { recoveryLog: shipped({ last: 0, trouble: 'gone' }) },
      'ok',
      /./,
    ],
    [
      'begun anew since the last backup',
      { recoveryLog: shipped({ from: NOW - 1000 }) },
      'warn',
      /began anew on .* no backup was made since/,
    ],
    [
      'begun anew before any backup',
      { recoveryLog: shipped({ from: NOW - 1000 }, { newestBackup: undefined }) },
      'ok',
      /./,
    ],
    ['an archive in time', { recoveryLog: { by: 'postgres', status: ARCHIVED } }, 'ok', /30 s behind/],
    [
      'an archive that fails',
      {
        recoveryLog: {
          by: 'postgres',
          status: { ...ARCHIVED, findings: [{ level: 'error', says: 'Archiving fails.', hint: 'x' }] },
        },
      },
      'fail',
      /^Archiving fails$/,
    ],
    [
      'an archive with a warning',
      {
        recoveryLog: {
          by: 'postgres',
          status: { ...ARCHIVED, findings: [{ level: 'warning', says: 'Look at it.', hint: 'x' }] },
        },
      },
      'warn',
      /Look at it/,
    ],
    [
      'an archive that nobody set up',
      {
        recoveryLog: {
          by: 'postgres',
          status: {
            ...ARCHIVED,
            by: null,
            findings: [
              { level: 'error', says: 'Not set up.', hint: 'x' },
              { level: 'error', says: 'Off.', hint: 'y' },
            ],
          },
        },
      },
      'warn',
      /^Not set up$/,
    ],
  ],
  drills: [
    ['never', { drills: { last: undefined } }, 'warn', /never rehearsed|ever rehearsed/],
    [
      'long ago',
      { drills: { last: { at: NOW - 101 * DAY, name: 'host-loss', passed: true } } },
      'warn',
      /101 days ago/,
    ],
    [
      'failed',
      { drills: { last: { at: NOW - DAY, name: 'key-loss', passed: false } } },
      'fail',
      /key-loss, failed/,
    ],
  ],
  schedules: [
    [
      'off, and nothing else makes backups',
      { schedules: { backup: 'off', lastVerified: NOW - DAY - 1 } },
      'fail',
      /backup.schedule is off/,
    ],
    [
      'off, and nobody can tell',
      { schedules: { backup: 'off', lastVerified: undefined } },
      'fail',
      /backup.schedule is off/,
    ],
    ['off, and a timer makes them', { schedules: { backup: 'off' } }, 'ok', /off/],
    ['both at once', { schedules: { together: NOW } }, 'warn', /same minute, first on 2026-06-15 12:00Z/],
  ],
  'safety-copies': [
    [
      'of a restore',
      { safetyCopies: [{ name: '/data/a.before-restore-1', size: 2048, from: 'restore' }] },
      'warn',
      /before a restore: .*2\.0 KiB/,
    ],
    [
      'of an upgrade',
      { safetyCopies: [{ name: '/data/a.before-3', size: 5, from: 'upgrade' }] },
      'warn',
      /before an upgrade: .*5 B/,
    ],
  ],
  'admin-listener': [
    ['on every address', { exposure: { adminHost: '0.0.0.0' } }, 'warn', /0\.0\.0\.0, without TLS/],
    ['on every IPv6 address', { exposure: { adminHost: '::' } }, 'warn', /::/],
    ['on IPv6 loopback', { exposure: { adminHost: '::1' } }, 'ok', /::1/],
    ['nowhere', { exposure: { adminHost: undefined } }, 'ok', /no address/],
  ],
  metrics: [
    ['open on every address', { exposure: { adminHost: '0.0.0.0' } }, 'warn', /open to whoever reaches/],
    ['with a token', { exposure: { adminHost: '0.0.0.0', openMetrics: false } }, 'ok', /nobody else/],
  ],
  issuer: [
    ['plain http', { exposure: { issuer: 'http://auth.example.com' } }, 'fail', /plain http/],
    [
      'localhost on every address',
      { exposure: { issuer: 'http://localhost:9000' } },
      'warn',
      /clients elsewhere/,
    ],
    [
      'localhost on loopback',
      { exposure: { issuer: 'http://localhost:9000', publicHost: '127.0.0.1' } },
      'ok',
      /localhost/,
    ],
  ],
  limits: [
    ['no limit on requests', { exposure: { rateLimit: false } }, 'warn', /requests are not limited/],
    ['no limit on guessing', { exposure: { guessingLimit: false } }, 'fail', /guessed as often/],
    ['anybody may register', { exposure: { openRegistration: true } }, 'warn', /anybody may register/],
  ],
  secrets: [
    [
      'weak, over the network',
      { secrets: [{ name: 'the password', isWeak: true, staysHere: false }] },
      'fail',
      /the password is easy to guess/,
    ],
    [
      'weak, on this machine',
      { secrets: [{ name: 'the password', isWeak: true, staysHere: true }] },
      'warn',
      /easy to guess/,
    ],
  ],
};
