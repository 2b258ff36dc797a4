/** What is made of the results: tables for people, ratios, and whether the targets are met. */
import { type ContenderName, contenderNames } from './contenders.ts';
import { median, type Result } from './rounds.ts';
import { type ScenarioName, scenarios } from './scenarios.ts';
import type { StartUp } from './start-up.ts';

export interface ScenarioResults {
  readonly scenario: ScenarioName;
  readonly results: readonly Result[];
}

export interface Report {
  readonly date: string;
  readonly node: string;
  readonly cpus: string;
  readonly settings: { readonly connections: number; readonly rounds: number; readonly seconds: number };
  /** Share of the machine that others used while the contenders stood idle, by scenario; 0 to 1. */
  readonly busyBefore: readonly number[];
  readonly scenarios: readonly ScenarioResults[];
  readonly startUp: StartUp | null;
}

interface RatioTarget {
  readonly scenario: ScenarioName;
  readonly over: ContenderName;
  readonly least: number;
}

/** The targets that the product, on SQLite, is held to. */
const RATIO_TARGETS: readonly RatioTarget[] = [
  { scenario: 'issuance', over: 'peer', least: 1.5 },
  { scenario: 'issuance', over: 'bare', least: 0.6 },
  { scenario: 'refresh', over: 'peer', least: 1 },
];
const READY_MS = 500;
const IDLE_MEMORY = 120;

/** Beyond this the load, not the contender, may be what is measured. */
const LOAD_TOO_BUSY = 0.9;
const MACHINE_TOO_BUSY = 0.15;

export interface Verdict {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly met: boolean;
}

/** Only of what was measured. */
export function verdicts({ scenarios: measured, startUp }: Report): Verdict[] {
  const ratios = RATIO_TARGETS.flatMap(({ scenario, over, least }) => {
    const results = measured.find((one) => one.scenario === scenario)?.results;
    const found = results && ratio(results, 'sqlite', over);
    if (!found) return [];
    const what = `${scenarios[scenario].title} against ${contenderNames[over]}`;
    return [{ what, target: `>= ${least}x`, measured: ratioText(found), met: found.median >= least }];
  });
  if (!startUp) return ratios;
  const { readyMs, idleMemory } = startUp;
  return [
    ...ratios,
    {
      what: 'Start to ready',
      target: `< ${READY_MS} ms`,
      measured: `${readyMs.toFixed(0)} ms`,
      met: readyMs < READY_MS,
    },
    {
      what: 'Idle memory',
      target: `< ${IDLE_MEMORY} MB`,
      measured: `${idleMemory.toFixed(0)} MB`,
      met: idleMemory < IDLE_MEMORY,
    },
  ];
}

/** The whole report as Markdown, ready for the README. */
export function toText(report: Report): string {
  const { date, node, cpus, settings, busyBefore } = report;
  const { connections, rounds, seconds } = settings;
  const busy = Math.max(0, ...busyBefore);
  const lines = [
    `${date}, Node ${node}, ${cpus}; ${connections} connections, ${rounds} rounds of ${seconds} s each.`,
    `Others used up to ${percent(busy)} of the machine${busy > MACHINE_TOO_BUSY ? ': too much, repeat it on a quiet one' : ''}.`,
  ];
  for (const { scenario, results } of report.scenarios) {
    lines.push('', `### ${scenarios[scenario].title}`, '', ...scenarioTable(results));
  }
  const judged = verdicts(report);
  if (judged.length > 0) lines.push('', '### Targets', '', ...verdictTable(judged));
  return lines.join('\n');
}

function scenarioTable(results: readonly Result[]): string[] {
  const over = (['peer', 'bare'] as const).filter((name) =>
    results.some(({ contender }) => contender === name),
  );
  const rows = results.map((result) => [
    contenderNames[result.contender],
    `${result.perSecond.toFixed(0)}${result.loadBusy > LOAD_TOO_BUSY ? ' *' : ''}`,
    result.p50.toFixed(1),
    result.p99.toFixed(1),
    result.processor.toFixed(0),
    result.memory.toFixed(0),
    ...over.map((name) => {
      const found = name === result.contender ? undefined : ratio(results, result.contender, name);
      return found ? ratioText(found) : '';
    }),
  ]);
  const starred = results.some(({ loadBusy }) => loadBusy > LOAD_TOO_BUSY);
  return [
    ...table(
      [
        '',
        'per s',
        'p50 ms',
        'p99 ms',
        'CPU µs',
        'RSS MB',
        ...over.map((name) => `x ${contenderNames[name]}`),
      ],
      rows,
    ),
    ...(starred ? ['', '\\* The load itself was at its limit: this contender can do more.'] : []),
  ];
}

function verdictTable(judged: readonly Verdict[]): string[] {
  return table(
    ['', 'target', 'measured', ''],
    judged.map(({ what, target, measured, met }) => [what, target, measured, met ? 'met' : 'NOT MET']),
  );
}

interface Ratio {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** How many times as many units a contender did as another one, round by round. */
function ratio(results: readonly Result[], of: ContenderName, over: ContenderName): Ratio | undefined {
  const above = results.find(({ contender }) => contender === of)?.perSecondByRound;
  const below = results.find(({ contender }) => contender === over)?.perSecondByRound;
  if (!above || !below) return undefined;
  const ratios = above.map((perSecond, round) => perSecond / (below[round] ?? Number.NaN));
  return { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) };
}

function ratioText({ median, least, most }: Ratio): string {
  return `${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/** A Markdown table whose columns line up. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => pad(cells[column] ?? '', width, column)).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)];
}

function pad(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width);
}
