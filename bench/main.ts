/**
 * bench: how fast the product is, beside others that do the same on the same machine at the same time. It owns the
 * contenders, the load and the report; it meets the product only from outside, by its command and its addresses.
 */
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type ContenderName, startContender } from './contenders.ts';
import { measurePurge, purgeText } from './purge.ts';
import { type Report, type ScenarioResults, toText, verdicts } from './report.ts';
import { makeTarget, runRounds, type Target } from './rounds.ts';
import { type ScenarioName, scenarios } from './scenarios.ts';
import { measureStartUp } from './start-up.ts';

const START = 'start';
/** Takes minutes and compares with nobody else, so it runs only when it is named. */
const PURGE = 'purge';
const NAMES = [...Object.keys(scenarios), START];
const ENGINES = ['sqlite', 'postgres'];

const USAGE = `Usage: npm run bench -- [names] [options]

Names: ${NAMES.join(', ')}; all of them when none is given. And, by itself: ${PURGE}.

Options:
  --seconds <n>      length of a round (3)
  --rounds <n>       rounds that count, after one of warming up (5)
  --connections <n>  that load a contender at once (32)
  --rows <n>         how many rows the purge finds (2000000)
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
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly json: boolean;
}

async function main({ names, contenders, engines, rows, json, ...settings }: Wanted): Promise<void> {
  await using running = new AsyncDisposableStack();
  stopOnSignal(running);
  if (names.includes(PURGE)) {
    const results = await measurePurge(rows, engines, running);
    console.log(json ? JSON.stringify(results, null, 2) : purgeText(results));
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
        engine: { type: 'string' },
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
  const unknown = positionals.find((name) => name !== PURGE && !NAMES.includes(name));
  if (unknown !== undefined) fail(`There is nothing called "${unknown}" to measure.`);
  if (values.engine !== undefined && !ENGINES.includes(values.engine))
    fail(`There is no engine "${values.engine}".`);
  const engines = values.engine === undefined ? ENGINES : [values.engine];
  return {
    names: positionals.length > 0 ? positionals : NAMES,
    contenders: [...engines, 'peer', 'bare'] as ContenderName[],
    engines,
    rows: positive('rows', values.rows),
    connections: positive('connections', values.connections),
    rounds: positive('rounds', values.rounds),
    seconds: positive('seconds', values.seconds),
    json: values.json,
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
