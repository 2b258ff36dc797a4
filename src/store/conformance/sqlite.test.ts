import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Worker } from 'node:worker_threads';
import { describe } from 'vitest';
import { engines, freshStorage } from '../../../test/setup/engines.ts';
import { migrateSchema, openStore } from '../../app/open-store.ts';
import { loadSnapshot, readSnapshot } from '../../app/snapshots.ts';
import { systemClock } from '../../kernel/clock.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { describeFaults } from './faults.ts';
import type { FragileStore, OpenedStore } from './harness.ts';
import { conformance } from './suite.ts';

describe.skipIf(!engines.some((engine) => engine.name === 'sqlite'))('needs the sqlite engine', () => {
  conformance('sqlite', { open: () => open(true), openFragile: () => openFragile(true) });
  describe('the store on sqlite without a write-ahead log', () => describeFaults(() => openFragile(false)));
});

async function open(wal: boolean): Promise<OpenedStore & { path: string }> {
  const fresh = await freshStorage({ name: 'sqlite' });
  if (fresh.driver !== 'sqlite') throw new Error(`asked for sqlite, got ${fresh.driver}`);
  const storage = { driver: 'sqlite', sqlite: { path: fresh.path, wal } } as const;
  await migrateSchema(storage, { clock: systemClock, random: systemRandom });
  const store = await openStore(storage, silentLog);
  const dispose = async () => {
    await store.close();
    await fresh.dispose();
  };
  return {
    store,
    path: fresh.path,
    readSnapshot: (request) => readSnapshot(storage, request),
    loadSnapshot: (load) => loadSnapshot(storage, load),
    leftBySnapshots: async () => leftBySnapshots(fresh.path),
    dispose,
  };
}

function leftBySnapshots(file: string): string[] {
  using db = new DatabaseSync(file);
  // A log that cannot be begun anew is one that somebody still reads.
  const [log] = db.prepare('pragma wal_checkpoint(truncate)').all();
  const files = readdirSync(path.dirname(file)).filter((name) => !/^authserver\.db(-wal|-shm)?$/.test(name));
  return log?.['busy'] === 0 ? files : ['a read transaction', ...files];
}

async function openFragile(wal: boolean): Promise<FragileStore> {
  const writers = new Set<Worker>();
  const watch = (worker: Worker) => writers.add(worker);
  process.on('worker', watch);
  const opened = await open(wal);
  let holder: ChildProcess | undefined;
  const healDatabase = async () => {
    if (holder?.kill('SIGKILL')) await once(holder, 'exit');
    holder = undefined;
  };
  return {
    ...opened,
    readsSurvive: wal,
    async breakDatabase() {
      holder = await lockedByAnother(opened.path);
    },
    healDatabase,
    async killConnections() {
      await Promise.all([...writers].map((writer) => writer.terminate()));
      writers.clear();
    },
    async dispose() {
      await healDatabase();
      await opened.dispose();
      process.off('worker', watch);
    },
  };
}

const HOLD = `
const { DatabaseSync } = require('node:sqlite');
const db = new DatabaseSync(process.argv[1], { timeout: 5000 });
db.exec('begin exclusive');
process.stdout.write('locked');
setInterval(() => {}, 1000);
`;

/** Another process that holds the file for itself. */
async function lockedByAnother(path: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', HOLD, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}
