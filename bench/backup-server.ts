/**
 * One way to copy a database, beside the writes of a server: `node backup-server.ts JOB`, its settings in the environment. A
 * process of its own, so that its memory and its event loop are those of this way. Prints what it measured as JSON.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeBackupDesk } from '../src/app/backup/desk.ts';
import { openRooms, type Rooms } from '../src/app/compose.ts';
import { loadConfig } from '../src/app/config.ts';
import { openDatabase, storageChoice } from '../src/app/database.ts';
// A server has loaded all that it serves with before a backup is made; what a proof loads besides is measured.
import '../src/app/public-server.ts';
import { shipLog } from '../src/app/recovery/ship.ts';
import '../src/app/serve.ts';
import { silentLog } from '../src/kernel/log.ts';
import { createBackup } from '../src/ops/backup/create.ts';
import { createFailure } from '../src/ops/backup/create-report.ts';
import { besideWrites, type Waits } from './writers.ts';

export interface CopyJob {
  /** How long the writes are watched by themselves before. */
  readonly seconds: number;
  /** After this many seconds it is stopped, done or not. */
  readonly limit: number;
  readonly way:
    | { readonly kind: 'nothing' }
    | { readonly kind: 'backup'; readonly verify: boolean }
    | {
        readonly kind: 'tool';
        readonly command: string;
        readonly args: readonly string[];
        readonly file: string;
      };
}

export interface CopyFigures {
  /** Until it could be relied on, or was stopped. */
  readonly seconds: number;
  readonly isDone: boolean;
  /** Bytes of the copy; null where there is none. */
  readonly size: number | null;
  /** Until a backup was on its target, s; null for what is no backup. */
  readonly published: number | null;
  readonly before: Waits;
  readonly during: Waits;
  readonly loop: LoopFigures;
  /** Resident memory of the server before, and at most during it; bytes. */
  readonly memory: readonly [before: number, peak: number];
  /** Of the tool's own process at most, bytes; null without one. */
  readonly toolMemory: number | null;
  readonly wal: number | null;
  /** The load of the machine before. */
  readonly load: number;
}

/** What the main thread of the server was kept by. */
export interface LoopFigures {
  /** The longest block of the event loop, ms. */
  readonly block: number;
  /** The most processor time that went by between two turns, ms: a block without the waiting for a core. */
  readonly work: number;
  /** Processor time as a share of the time that passed. */
  readonly share: number;
}

type Made = Pick<CopyFigures, 'isDone' | 'size' | 'published' | 'toolMemory'>;

/** Writes that come before all that is counted, ms: a program that has just begun is slow. */
const WARM_UP = 1500;
const NOTHING: Made = { isDone: true, size: null, published: null, toolMemory: null };

if (import.meta.main) {
  const job = JSON.parse(process.argv[2] ?? '') as CopyJob;
  process.stdout.write(`${JSON.stringify(await measure(job))}\n`);
}

async function measure({ seconds, limit, way }: CopyJob): Promise<CopyFigures> {
  const load = loadavg()[0] ?? 0;
  const { config } = await loadConfig({ file: undefined, terminal: false, env: process.env });
  const rooms = await openRooms(config, await openDatabase(config, silentLog), silentLog);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rooms.close());
  // As in a server: what is committed goes to the targets every second.
  const shipped = shipLog(rooms);
  if (shipped) undo.use(shipped);
  const server = { store: rooms.store, storage: storageChoice(config) };
  await besideWrites(server, () => sleep(WARM_UP));
  const { waits: before } = await besideWrites(server, () => sleep(seconds * 1000));
  const resident = process.memoryUsage.rss();
  // proc(5): the peak begins again.
  writeFileSync('/proc/self/clear_refs', '5');
  const stopLook = watchLoop();
  const { result, waits, wal, ...whole } = await besideWrites(server, () =>
    copyAs(way, rooms, seconds, limit),
  );
  const loop = stopLook();
  const memory = [resident, peakMemory(process.pid)] as const;
  return { ...result, ...whole, before, during: waits, loop, memory, wal, load };
}

function watchLoop(): () => LoopFigures {
  const began = performance.now();
  const first = threadTime();
  let last = first;
  let work = 0;
  const look = setInterval(() => {
    const now = threadTime();
    work = Math.max(work, now - last);
    last = now;
  }, 1);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  return () => {
    clearInterval(look);
    delay.disable();
    return { block: delay.max / 1e6, work, share: (threadTime() - first) / (performance.now() - began) };
  };
}

/** Processor time of this thread so far, ms. */
function threadTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function copyAs(way: CopyJob['way'], rooms: Rooms, seconds: number, limit: number): Promise<Made> {
  if (way.kind === 'backup') return backup(rooms, way.verify, limit);
  if (way.kind === 'tool') return runTool(way, limit);
  return sleep(seconds * 1000, NOTHING);
}

async function backup(rooms: Rooms, verify: boolean, limit: number): Promise<Made> {
  const desk = makeBackupDesk(rooms);
  const signal = AbortSignal.timeout(limit * 1000);
  try {
    const report = await createBackup(
      desk,
      { target: null, tags: [], plaintext: false, verify },
      { progress: () => undefined, signal },
      { actor: 'system', ip: null },
    );
    const failure = createFailure(report);
    if (failure) throw failure;
    const published = (report.published_after ?? 0) / 1000;
    return { ...NOTHING, size: report.size, published };
  } catch (error) {
    if (signal.aborted) return { ...NOTHING, isDone: false };
    throw error;
  }
}

async function runTool(tool: CopyJob['way'] & { kind: 'tool' }, limit: number): Promise<Made> {
  const child = spawn(tool.command, tool.args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let toolMemory = 0;
  let isLate = false;
  const watch = setInterval(() => {
    toolMemory = Math.max(toolMemory, peakMemory(child.pid ?? 0));
  }, 20);
  const late = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, limit * 1000);
  try {
    const code = await exitOf(child);
    if (isLate) return { ...NOTHING, isDone: false, toolMemory };
    if (code !== 0) throw new Error(`${tool.command} ended with ${code}`);
    return { ...NOTHING, size: statSync(tool.file).size, toolMemory };
  } finally {
    clearInterval(watch);
    clearTimeout(late);
    for (const left of ['', '-journal', '-wal', '-shm']) rmSync(`${tool.file}${left}`, { force: true });
  }
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

/** The most that a process has held so far, bytes; 0 once it is gone. */
function peakMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
