/**
 * How reading a whole database weighs on the writes beside it: our snapshot, and what people run by hand for it. Run it by
 * itself: `node bench/snapshot.ts [--rows n] [--engine name]`. 2.1 million rows are 300 MB.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openStore } from '../src/app/open-store.ts';
import { readSnapshot } from '../src/app/snapshots.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { silentLog } from '../src/kernel/log.ts';
import { type Copy, postgresArena, sqliteArena, Writers } from './purge.ts';

type Engine = 'sqlite' | 'postgres';

interface Measured {
  readonly engine: Engine;
  readonly way: string;
  readonly mib: number | null;
  readonly seconds: number;
  readonly writes: number;
  readonly p99: number;
  readonly longest: number;
  readonly p99Before: number;
  readonly wal: number | null;
  readonly load: number;
}

/** How long, ms, the writes are watched before anything is read. */
const QUIET = 5000;
const MIB = 2 ** 20;

async function measure(engine: Engine, way: string, copy: Copy): Promise<Measured> {
  const store = await openStore(copy.storage, silentLog);
  try {
    const load = loadavg()[0] ?? 0;
    const before = new Writers(store);
    await sleep(QUIET);
    const { p99: p99Before } = await before.stop();
    let wal = 0;
    const watch = setInterval(() => {
      wal = Math.max(wal, copy.walBytes() ?? 0);
    }, 20);
    const writers = new Writers(store);
    const began = performance.now();
    const reading = way === 'snapshot' ? snapshot(copy) : byHand(copy);
    const bytes = await reading.catch((error: Error) => error);
    const seconds = (performance.now() - began) / 1000;
    const { writes, p99, longest } = await writers.stop();
    clearInterval(watch);
    if (bytes instanceof Error) throw bytes;
    const mib = bytes === null ? null : bytes / MIB;
    return {
      engine,
      way,
      mib,
      seconds,
      writes,
      p99,
      longest,
      p99Before,
      wal: copy.walBytes() === null ? null : wal / MIB,
      load,
    };
  } finally {
    await store.close();
  }
}

/** Reads it all; how many bytes of lines there were. */
async function snapshot({ storage }: Copy): Promise<number> {
  let bytes = 0;
  await using taken = await readSnapshot(storage, { clock: systemClock });
  for await (const part of taken.parts()) if (part.kind === 'rows') bytes += part.bytes.byteLength;
  return bytes;
}

/** In a process of its own: a copy of the file, or a dump. */
async function byHand({ storage }: Copy): Promise<null> {
  const target = path.join(tmpdir(), `authserver-bench-${process.pid}.copy`);
  try {
    const child =
      storage.driver === 'sqlite'
        ? spawn(process.execPath, ['-e', VACUUM, storage.sqlite.path, target], { stdio: 'inherit' })
        : spawn('pg_dump', ['-Fc', '-f', target, '-d', storage.postgres.dsn], { stdio: 'inherit' });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error('the copy failed: is pg_dump as new as the server?');
    return null;
  } finally {
    rmSync(target, { force: true });
  }
}

const VACUUM = `const { DatabaseSync } = require('node:sqlite');
new DatabaseSync(process.argv[1]).prepare('vacuum into ?').run(process.argv[2]);`;

function toText(results: readonly Measured[]): string {
  const number = (value: number | null) => (value === null ? '' : value.toFixed(1));
  const lines = results.map((one) => {
    const figures = [
      one.mib,
      one.seconds,
      one.writes,
      one.p99,
      one.longest,
      one.p99Before,
      one.wal,
      one.load,
    ];
    return `| ${one.engine} | ${one.way} | ${figures.map(number).join(' | ')} |`;
  });
  return [
    '| engine | way | MiB of lines | s | writes beside it | p99 ms | longest ms | p99 before ms | WAL MiB | load before |',
    '|---|---|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...lines,
  ].join('\n');
}

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '200000' }, engine: { type: 'string' } },
});
const engines = (['sqlite', 'postgres'] as const).filter((name) => !values.engine || values.engine === name);
for (const engine of engines) {
  await using arena = await (engine === 'sqlite' ? sqliteArena : postgresArena)(Number(values.rows));
  const results: Measured[] = [];
  for (const way of ['snapshot', engine === 'sqlite' ? 'VACUUM INTO' : 'pg_dump -Fc']) {
    const copy = await arena.take(way.replaceAll(/\W/g, '_').toLowerCase());
    await measure(engine, way, copy).then(
      (measured) => results.push(measured),
      (error: Error) => console.error(`${way} on ${engine}: ${error.message}`),
    );
  }
  console.log(toText(results));
}
