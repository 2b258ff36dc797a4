/**
 * bench: how fast the product is, beside others that do the same on the same machine at the same time. It owns the
 * contenders, the load and the report; it meets the product only from outside, by its command and its addresses.
 */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ENGINES } from './arena.ts';
import { measureBackup } from './backup.ts';
import { backupText } from './backup-report.ts';
import { type ContenderName, startContender } from './contenders.ts';
import { measurePurge, purgeText } from './purge.ts';
import { type Report, type ScenarioResults, toText, verdicts } from './report.ts';
import { makeTarget, runRounds, type Target } from './rounds.ts';
import { type ScenarioName, scenarios } from './scenarios.ts';
import { measureStartUp } from './start-up.ts';

const START = 'start';
/** These take minutes and compare with no other server, so they run only when they are named. */
const PURGE = 'purge';
const BACKUP = 'backup';
const NAMES = [...Object.keys(scenarios), START];

const USAGE = `Usage: npm run bench -- [names] [options]

Names: ${NAMES.join(', ')}; all of them when none is given. And, each by itself: ${PURGE}, ${BACKUP}.

Options:
  --seconds <n>      length of a round; for backup, of each phase of writes alone (3)
  --rounds <n>       rounds that count, after one of warming up (5)
  --connections <n>  that load a contender at once (32)
  --rows <n>         how many rows the purge finds (2000000)
  --size <MB>        of the database that is backed up (300)
  --postgres <path>  the folder of the programs of PostgreSQL for backup, where pg_dump is older than ours
  --engine <name>    sqlite or postgres only; both when not given
  --json             print the results as JSON
  --help             show this`;

const wanted = readCommandLine(process.argv.slice(2));
if (wanted === 'help') console.log(USAGE);
else await main(wanted);

interface Wanted {
  readonly names: readonly string[];
  readonly contenders: readonly ContenderName[];
  readonly engines: readonly string[];
  readonly rows: number;
  readonly size: number;
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly json: boolean;
  readonly programs?: string;
}

async function main(wanted: Wanted): Promise<void> {
  await using running = new AsyncDisposableStack();
  stopOnSignal(running);
  try {
    await measure(wanted, running);
  } catch (error) {
    // What is taken away from a run that is cut short makes it fail; the taking away has to come to its end.
    if (!running.disposed) throw error;
  }
}

async function measure(
  { names, contenders, engines, rows, size, json, programs, ...settings }: Wanted,
  running: AsyncDisposableStack,
): Promise<void> {
  if (names.includes(PURGE)) {
    const results = await measurePurge(rows, engines, running);
    console.log(json ? JSON.stringify(results, null, 2) : purgeText(results));
    return;
  }
  if (names.includes(BACKUP)) {
    const asked = { size, seconds: settings.seconds, engines, ...(programs !== undefined && { programs }) };
    const report = await measureBackup(asked, running);
    console.log(json ? JSON.stringify(report, null, 2) : backupText(report));
    return;
  }
  const chosen = names.filter((name) => name !== START) as ScenarioName[];
  const startUp = names.includes(START) ? await measureStartUp(running) : null;
  const busyBefore: number[] = [];
  const measured: ScenarioResults[] = [];
  const targets: Target[] = [];
  for (const name of chosen.length > 0 ? contenders : []) {
    targets.push(await makeTarget(running.use(await startContender(name))));
  }
  for (const scenario of chosen) {
    console.error(`${scenarios[scenario].title} ...`);
    busyBefore.push(await machineBusy());
    measured.push({ scenario, results: await runRounds({ scenario, ...settings }, targets) });
  }

  const [cpu] = cpus();
  const report: Report = {
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpus: `${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'})`,
    settings,
    busyBefore,
    scenarios: measured,
    startUp,
  };
  console.log(json ? JSON.stringify({ ...report, verdicts: verdicts(report) }, null, 2) : toText(report));
}

/** Contenders must not outlive a run that is cut short. */
function stopOnSignal(running: AsyncDisposableStack): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void running.disposeAsync().finally(() => process.exit(1)));
  }
}

/** The share of the machine that is in use over one second in which the contenders have nothing to do. */
async function machineBusy(): Promise<number> {
  const before = cpuTimes();
  await sleep(1000);
  const after = cpuTimes();
  return 1 - (after.idle - before.idle) / (after.all - before.all);
}

function cpuTimes(): { idle: number; all: number } {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    idle: sum(times.map(({ idle }) => idle)),
    all: sum(times.flatMap((one) => Object.values(one))),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seconds: { type: 'string', default: '3' },
        rounds: { type: 'string', default: '5' },
        connections: { type: 'string', default: '32' },
        rows: { type: 'string', default: '2000000' },
        size: { type: 'string', default: '300' },
        engine: { type: 'string' },
        postgres: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function readCommandLine(args: readonly string[]): Wanted | 'help' {
  const { values, positionals } = parse(args);
  if (values.help) return 'help';
  const unknown = positionals.find((name) => ![PURGE, BACKUP, ...NAMES].includes(name));
  if (unknown !== undefined) fail(`There is nothing called "${unknown}" to measure.`);
  if (values.engine !== undefined && !ENGINES.some((name) => name === values.engine))
    fail(`There is no engine "${values.engine}".`);
  const { postgres: programs } = values;
  if (programs !== undefined && !existsSync(path.join(programs, 'initdb')))
    fail(`--postgres must be a folder with initdb, and ${programs} is none.`);
  const engines = ENGINES.filter((name) => values.engine === undefined || name === values.engine);
  return {
    names: positionals.length > 0 ? positionals : NAMES,
    contenders: [...engines, 'peer', 'bare'] as ContenderName[],
    engines,
    rows: positive('rows', values.rows),
    size: positive('size', values.size),
    connections: positive('connections', values.connections),
    rounds: positive('rounds', values.rounds),
    seconds: positive('seconds', values.seconds),
    json: values.json,
    ...(programs !== undefined && { programs: path.resolve(programs) }),
  };
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) fail(`--${option} must be a number above 0.`);
  return value;
}

function fail(problem: string): never {
  console.error(`${problem}\n\n${USAGE}`);
  process.exit(2);
}
