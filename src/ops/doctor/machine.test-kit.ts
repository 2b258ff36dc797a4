// Owns what the checks of machine, files and database say, each on both sides of its rule.

import type { FileMode } from './facts.ts';
import { type Cases, NOW, place, WELL } from './well.test-kit.ts';

const [key] = WELL.modes as readonly [FileMode];

export const machineCases: Cases = {
  database: [
    [
      'away',
      { database: { trouble: { finding: 'db does not answer', hint: 'x' } } },
      'fail',
      /does not answer/,
    ],
    ['empty', { database: { isEmpty: true } }, 'warn', /is empty/],
    ['behind', { database: { pending: ['3 (recovery)'] } }, 'warn', /lacks schema steps: 3 \(recovery\)/],
  ],
  'sqlite-library': [
    ['before the race', { sqliteLibrary: { version: '3.6.23' } }, 'ok', /3\.6\.23/],
    ['the first with it', { sqliteLibrary: { version: '3.7.0' } }, 'fail', /WAL-reset race/],
    ['of Debian 12', { sqliteLibrary: { version: '3.40.1' } }, 'fail', /WAL-reset race/],
    ['just not mended 3.44', { sqliteLibrary: { version: '3.44.5' } }, 'fail', /WAL-reset race/],
    ['mended 3.44', { sqliteLibrary: { version: '3.44.6' } }, 'ok', /3\.44\.6/],
    ['after it, not mended', { sqliteLibrary: { version: '3.45.9' } }, 'fail', /WAL-reset race/],
    ['just not mended 3.50', { sqliteLibrary: { version: '3.50.6' } }, 'fail', /WAL-reset race/],
    ['mended 3.50', { sqliteLibrary: { version: '3.50.7' } }, 'ok', /3\.50\.7/],
    ['the last with it', { sqliteLibrary: { version: '3.51.2' } }, 'fail', /WAL-reset race/],
    ['the first without it', { sqliteLibrary: { version: '3.51.3' } }, 'ok', /3\.51\.3/],
    ['withdrawn', { sqliteLibrary: { version: '3.52.0' } }, 'fail', /withdrawn/],
    ['of another spelling', { sqliteLibrary: { version: 'unknown' } }, 'warn', /says nothing/],
  ],
  'sqlite-journal': [
    [
      'not the configured one',
      { sqliteFile: { journal: 'rollback' } },
      'warn',
      /rollback journal, and storage.sqlite.wal is true/,
    ],
    [
      'a rollback journal, as configured',
      { sqliteFile: { journal: 'rollback', wantsWal: false } },
      'ok',
      /rollback journal/,
    ],
    [
      'a journal of a killed writer',
      { sqliteFile: { journal: 'rollback', wantsWal: false, hotJournal: '/data/j' } },
      'warn',
      /killed has left \/data\/j/,
    ],
    ['a journal of another file', { sqliteFile: { hotJournal: '/data/j' } }, 'fail', /of another file/],
  ],
  'sqlite-integrity': [
    [
      'damaged',
      { integrity: { problems: ['row 3 missing from index x', 'y'] } },
      'fail',
      /row 3 missing from index x \(and 1 more\)/,
    ],
    ['too large', { integrity: { problems: undefined, skipped: 'larger than 1 GiB' } }, 'skipped', /larger/],
  ],
  'postgres-version': [
    ['no longer mended', { postgres: { version: '13.9', major: 13 } }, 'warn', /no longer mended/],
  ],
  'postgres-durability': ['fsync', 'full_page_writes', 'synchronous_commit'].map(
    (name) =>
      [name, { postgres: { settings: { [name]: 'off' } } }, 'fail', new RegExp(`${name} is off`)] as const,
  ),
  'postgres-connections': [
    ['just enough', { postgres: { maxConnections: 16 } }, 'ok', /13 connections/],
    [
      'one too few',
      { postgres: { maxConnections: 15 } },
      'fail',
      /may want 13 connections, and there are 12/,
    ],
  ],
  'postgres-tools': [
    ['none', { postgres: { tools: [] } }, 'ok', /none is needed/],
    [
      'an old pg_dump',
      { postgres: { tools: [{ name: 'pg_dump', version: '15.8', major: 15 }] } },
      'warn',
      /15\.8 refuses/,
    ],
    [
      'a newer pg_dump',
      { postgres: { tools: [{ name: 'pg_dump', version: '17.0', major: 17 }] } },
      'ok',
      /17\.0/,
    ],
    [
      'pgbackrest has versions of its own',
      { postgres: { tools: [{ name: 'pgbackrest', version: '2.45', major: 2 }] } },
      'ok',
      /2\.45/,
    ],
  ],
  'file-systems': [
    ['a database in memory', { places: [place({ type: 'tmpfs' })] }, 'fail', /in memory.*tmpfs/],
    [
      'a database over NFS',
      { places: [place({ type: 'nfs4', mountPoint: '/data' })] },
      'fail',
      /network.*nfs4 at \/data/,
    ],
    ['keys over SMB', { places: [place({ role: 'keys', type: 'cifs' })] }, 'warn', /network/],
    [
      'a state directory on a host folder',
      { places: [place({ role: 'state', type: '9p' })] },
      'warn',
      /network/,
    ],
    ['backups over NFS', { places: [place({ role: 'backups', type: 'nfs' })] }, 'ok', /nfs/],
    ['backups in memory', { places: [place({ role: 'backups', type: 'ramfs' })] }, 'fail', /in memory/],
    ['a container without a volume', { places: [place({ type: 'overlay' })] }, 'warn', /container/],
    [
      'some file system in user space',
      { places: [place({ type: 'fuse.unheard-of' })] },
      'warn',
      /user space/,
    ],
    ['sshfs', { places: [place({ type: 'fuse.sshfs' })] }, 'fail', /network/],
  ],
  'free-space': [
    ['just enough', { space: { free: 2500 } }, 'ok', /needs about/],
    ['one byte too little', { space: { free: 2499 } }, 'fail', /needs about 2.4 KiB/],
  ],
  'file-modes': [
    ['a key that everybody may read', { modes: [{ ...key, mode: 0o644 }] }, 'fail', /every user.*0644/],
    ['a key that its group may read', { modes: [{ ...key, mode: 0o640 }] }, 'warn', /group.*0640/],
    [
      'a secret that a group may read',
      { modes: [{ ...key, mode: 0o640, allowed: 'group' }] },
      'ok',
      /1 files/,
    ],
    [
      'a secret that everybody may read',
      { modes: [{ ...key, mode: 0o604, allowed: 'group' }] },
      'fail',
      /every user/,
    ],
    [
      'a folder that everybody may enter',
      { modes: [{ ...key, mode: 0o711, isFolder: true }] },
      'fail',
      /0711/,
    ],
  ],
  keys: [
    [
      'one that cannot sign',
      {
        keys: {
          findings: [
            {
              kid: 'a',
              state: 'active',
              ok: false,
              finding: 'is missing',
              repair: 'authserver keys recover --new',
            },
          ],
        },
      },
      'fail',
      /active key a: is missing/,
    ],
    [
      'none that signs',
      {
        keys: {
          findings: [{ kid: '-', state: 'unknown', ok: false, finding: 'no key is active', repair: 'x' }],
        },
      },
      'fail',
      /^no key is active/,
    ],
    [
      'one that nobody knows',
      {
        keys: {
          findings: [{ kid: 'z', state: 'unknown', ok: false, finding: 'z.pem is not known', repair: 'x' }],
        },
      },
      'warn',
      /not known/,
    ],
  ],
  clock: [
    [
      'a minute behind, as other servers may be',
      { clock: { known: [{ what: 'x', at: NOW + 60_000 }] } },
      'ok',
      /nothing here is from later/,
    ],
    [
      'more than a minute behind',
      { clock: { known: [{ what: 'backup b-1', at: NOW + 60_001 }] } },
      'fail',
      /backup b-1 is from/,
    ],
    ['of 1970', { clock: { now: 1000, known: [] } }, 'fail', /1970.*cannot be/],
    ['of the next century', { clock: { now: Date.UTC(2101, 0), known: [] } }, 'fail', /cannot be/],
  ],
  'audit-chain': [
    [
      'changed',
      { audit: { events: 4, fault: { sequence: 5, kind: 'changed' } } },
      'fail',
      /event 5 was changed/,
    ],
    ['cut', { audit: { fault: { sequence: 13, kind: 'removed' } } }, 'fail', /event 13 is missing/],
    ['too long', { audit: { unread: true } }, 'warn', /only the first 12/],
  ],
};
