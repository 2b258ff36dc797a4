/** An installation on SQLite with a recovery log and two backup targets: `near` is a good folder, `away` may be unusable. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vi } from 'vitest';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { createBackup } from '../../ops/backup/create.ts';
import type { CreateReport } from '../../ops/backup/create-report.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import { NO_POSITION, POSITION } from '../../store/change-frame.ts';
import { makeBackupDesk } from '../backup/desk.ts';
import { makeFirstRecoveryKey } from '../backup/identity.ts';
import { packArchive } from '../backup/pack-archive.ts';
import { openSigningKey } from '../backup/signing-key.ts';
import { openRooms, type Rooms } from '../compose.ts';
import { loadConfig } from '../config.ts';
import { openDatabase, storageChoice } from '../database.ts';
import { migrateSchema } from '../open-store.ts';
import { shipLog } from './ship.ts';

const PATIENCE = { timeout: 20_000, interval: 10 };
/** How long a chain waits for a backup here, and how long it may take to find out that there is none, ms. */
const BASE_AFTER = 20;
const JUDGED_WITHIN = { timeout: 1500, interval: 10 };
const NEVER = new AbortController().signal;

export interface TwoTargets extends AsyncDisposable {
  readonly rooms: Rooms;
  /** For a command on the same installation. */
  readonly env: Readonly<Record<string, string>>;
  readonly near: string;
  readonly away: string;
  backup(options?: { verify?: boolean; passes?: boolean }): Promise<CreateReport>;
  commit(): Promise<void>;
  /** The next commit begins another chain. */
  endChain(): Promise<void>;
  /** Serves for a moment: all that can be shipped is. Answers what it said of a chain without a backup. */
  serve(): Promise<{ readonly warned: readonly string[]; readonly called: number }>;
}

export async function openTwoTargets({ isAwayUsable = false, env = {} } = {}): Promise<TwoTargets> {
  const folder = mkdtempSync(path.join(tmpdir(), 'authserver-targets-'));
  const [near, away] = [path.join(folder, 'near'), path.join(folder, 'away')];
  if (isAwayUsable) mkdirSync(away);
  else writeFileSync(away, 'in the way');
  const own = {
    AUTHSERVER_STATE_DIR: path.join(folder, 'state'),
    AUTHSERVER_BACKUP_TARGETS: `near=${near}, away=${away}`,
    AUTHSERVER_BACKUP_PLAINTEXT: 'true',
    AUTHSERVER_RECOVERY_LOG: 'true',
    AUTHSERVER_RECOVERY_INTERVAL: '100ms',
    ...env,
  };
  mkdirSync(own.AUTHSERVER_STATE_DIR, { mode: 0o700 });
  const { config } = await loadConfig({ file: undefined, terminal: false, env: own });
  await migrateSchema(storageChoice(config), { clock: systemClock, random: systemRandom });
  const rooms = await openRooms(config, await openDatabase(config, silentLog), silentLog);
  await makeFirstRecoveryKey(config, rooms.store, rooms);
  const signingKey = openSigningKey(config.state_dir, systemRandom).pem;
  let commits = 0;
  const put = (name: string, value: string) =>
    rooms.store.settings.put({ setting: { name, value, updated_at: Date.now() }, if_absent: false });
  return {
    rooms,
    env: own,
    near,
    away,
    backup({ verify = true, passes = true } = {}) {
      const desk: BackupDesk = {
        ...makeBackupDesk(rooms),
        pack: (request, asks, watch) =>
          packArchive({ request, storage: storageChoice(config), signingKey, program: '0.0.0' }, asks, watch),
        prove: async () => ({ passed: passes, findings: [], notes: [], rto_ms: 1 }),
      };
      const request = { target: null, tags: [], plaintext: false, verify };
      const watch = { progress: () => undefined, signal: NEVER };
      return createBackup(desk, request, watch, { actor: 'system', ip: null });
    },
    commit: async () => void (await put('test.commit', String(++commits))),
    endChain: async () => void (await put(POSITION, NO_POSITION)),
    async serve() {
      const warned: string[] = [];
      const log = { ...silentLog, warn: (_: object, text: string) => void warned.push(text) };
      const onNewChain = vi.fn();
      await using shipped = shipLog({ ...rooms, log }, { onNewChain, baseAfter: BASE_AFTER });
      await vi.waitUntil(() => shipped?.health().chain, PATIENCE);
      const isCalled = () => onNewChain.mock.calls.length > 0;
      await vi.waitUntil(isCalled, JUDGED_WITHIN).catch(() => undefined);
      return { warned, called: onNewChain.mock.calls.length };
    },
    async [Symbol.asyncDispose]() {
      await rooms.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Takes away what lies in a folder, where the name says so. */
export function rmIn(folder: string, isMeant: (name: string) => boolean): void {
  for (const name of readdirSync(folder).filter(isMeant)) rmSync(path.join(folder, name));
}
