/** Runs one scenario against the contenders by turns, so that a busy moment of the machine meets all of them. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { signIn } from './browser.ts';
import { type Contender, type ContenderName, processorTime, residentMemory } from './contenders.ts';
import { type EndpointPaths, type Load, type ScenarioName, type Sighting, scenarios } from './scenarios.ts';

export interface Plan {
  readonly scenario: ScenarioName;
  readonly connections: number;
  readonly rounds: number;
  /** Of one round. */
  readonly seconds: number;
}

/** One round of one contender. */
interface Round extends Sighting {
  /** Processor time of the contender's process for one unit, all its threads, µs. Hardly changes on a busy machine. */
  readonly processor: number;
}

/** What one contender did in one scenario: medians over the rounds. */
export interface Result extends Round {
  readonly contender: ContenderName;
  /** Of each round, to be compared with another contender's in the same round. */
  readonly perSecondByRound: readonly number[];
  /** MB, after the last round. */
  readonly memory: number;
}

/** A contender as the load meets it. */
export interface Target {
  readonly contender: Contender;
  readonly paths: EndpointPaths;
}

const DISCOVERY = '/.well-known/openid-configuration';

/** Reads where the endpoints are. */
export async function makeTarget(contender: Contender): Promise<Target> {
  const response = await fetch(contender.url + DISCOVERY);
  if (!response.ok)
    throw new Error(`${contender.name}: no metadata: ${response.status} ${await response.text()}`);
  const metadata = (await response.json()) as Record<string, string>;
  const at = (endpoint: string) => new URL(metadata[endpoint] ?? '').pathname;
  const paths = {
    discovery: DISCOVERY,
    jwks: at('jwks_uri'),
    authorize: at('authorization_endpoint'),
    token: at('token_endpoint'),
    introspect: at('introspection_endpoint'),
  };
  return { contender, paths };
}

/** One round of warming up, then the rounds that count. */
export async function runRounds(plan: Plan, targets: readonly Target[]): Promise<Result[]> {
  for (const target of targets) await runLoad(plan, target);
  const sightings = new Map<Target, Round[]>(targets.map((target) => [target, []]));
  for (let round = 0; round < plan.rounds; round++) {
    // There and back again: nobody always comes right after the same neighbour.
    const order = round % 2 === 0 ? targets : targets.toReversed();
    for (const target of order) sightings.get(target)?.push(await runLoad(plan, target));
  }
  return Promise.all(targets.map((target) => summary(target.contender, sightings.get(target) ?? [])));
}

async function runLoad(plan: Plan, { contender, paths }: Target): Promise<Round> {
  const { scenario, connections, seconds } = plan;
  const cookies: string[] = [];
  // New sessions each time: the peer's adapter keeps the last 1000 rows and has forgotten older ones.
  while (cookies.length < connections) {
    cookies.push(scenarios[scenario].signedIn ? await signIn(contender.url + paths.authorize) : '');
  }
  const load: Load = { scenario, url: contender.url, paths, cookies, seconds };
  const before = await processorTime(contender.pid);
  const running = promisify(execFile)(process.execPath, [path.join(import.meta.dirname, 'load', 'main.ts')]);
  running.child.stdin?.end(JSON.stringify(load));
  const sighting = JSON.parse((await running).stdout) as Sighting;
  const used = (await processorTime(contender.pid)) - before;
  return { ...sighting, processor: (used * 1000) / (sighting.perSecond * seconds) };
}

async function summary({ name, pid }: Contender, sightings: readonly Round[]): Promise<Result> {
  const of = (key: keyof Round) => median(sightings.map((sighting) => sighting[key]));
  return {
    contender: name,
    perSecond: of('perSecond'),
    p50: of('p50'),
    p99: of('p99'),
    loadBusy: of('loadBusy'),
    processor: of('processor'),
    perSecondByRound: sightings.map(({ perSecond }) => perSecond),
    memory: await residentMemory(pid),
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [upper = Number.NaN, lower = upper] = [
    sorted[middle],
    sorted[sorted.length % 2 ? middle : middle - 1],
  ];
  return (upper + lower) / 2;
}
