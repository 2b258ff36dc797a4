/** What is made of the measurements of backups: a table, and whether the targets are met. */
import type { BackupReport, BackupResult } from './backup.ts';
import type { CopyFigures } from './backup-server.ts';
import { type Waits, WRITES_A_SECOND } from './writers.ts';

/** What the product is held to with 300 MB: seconds until a backup is on its target, and what it may add to the p99 of writes, ms. */
const PUBLISHED = 5;
const ADDED = 10;

const HEAD = [
  'engine',
  'beside the writes',
  's',
  'MB',
  'p50 ms',
  'p99 ms',
  'longest ms',
  'loop ms (work)',
  'main thread %',
  'RSS MB',
  'its own RSS MB',
  'WAL MB',
  'load before',
];

export function backupText(report: BackupReport): string {
  const { disk, databases, results } = report;
  const remarks = results.flatMap(remarksOf);
  const sizes = Object.entries(databases).map(([engine, bytes]) => `${mega(bytes)} MB on ${engine}`);
  return [
    `${sizes.join(', ')}; ${WRITES_A_SECOND} writes a second. Two figures are before -> during.`,
    `With nothing beside it, a bare loop of a write and an fdatasync takes ${ms(disk.p50)} ms (p50), ${ms(disk.p99)} ms (p99), ${ms(disk.longest)} ms (longest of ${disk.writes}).`,
    '',
    `| ${HEAD.join(' | ')} |`,
    `|---|---|${'--:|'.repeat(HEAD.length - 2)}`,
    ...results.map(lineOf),
    '',
    ...(remarks.length > 0 ? [...remarks, ''] : []),
    ...results.flatMap(verdictsOf),
  ].join('\n');
}

function lineOf({ engine, way, figures }: BackupResult): string {
  const cells = typeof figures === 'string' ? HEAD.slice(2).map(() => '') : cellsOf(figures);
  return `| ${[engine, way, ...cells].join(' | ')} |`;
}

function cellsOf({ before, during, memory, ...figures }: CopyFigures): readonly string[] {
  const pair = (of: (waits: Waits) => number) => `${ms(of(before))} -> ${ms(of(during))}`;
  const seconds = figures.seconds.toFixed(1);
  return [
    figures.isDone ? seconds : `not done after ${seconds}`,
    mega(figures.size),
    pair(({ p50 }) => p50),
    pair(({ p99 }) => p99),
    pair(({ longest }) => longest),
    `${ms(figures.loop.block)} (${ms(figures.loop.work)})`,
    (figures.loop.share * 100).toFixed(0),
    `${mega(memory[0])} -> ${mega(memory[1])}`,
    mega(figures.toolMemory),
    mega(figures.wal),
    figures.load.toFixed(1),
  ];
}

function remarksOf({ engine, way, figures }: BackupResult): string[] {
  if (typeof figures === 'string') return [`${way} on ${engine}: ${figures}.`];
  if (!figures.isDone)
    return [`${way} on ${engine}: stopped after ${figures.seconds.toFixed(1)} s, not done.`];
  return [];
}

/** Of the product's own ways. */
function verdictsOf({ engine, way, figures }: BackupResult): string[] {
  if (typeof figures === 'string' || figures.published === null) return [];
  const { published, before, during } = figures;
  const added = during.p99 - before.p99;
  const noise =
    before.p99 > ADDED
      ? ` Before it the p99 was ${ms(before.p99)} ms: not a quiet machine, or a slow disk.`
      : '';
  return [
    `${way} on ${engine}: on its target after ${published.toFixed(1)} s (target ${PUBLISHED} s, with 300 MB): ${met(published <= PUBLISHED)}; p99 ${added < 0 ? '' : '+'}${ms(added)} ms (target +${ADDED} ms): ${met(added <= ADDED)}.${noise}`,
  ];
}

function met(holds: boolean): string {
  return holds ? 'met' : 'NOT MET';
}

function ms(value: number): string {
  return value.toFixed(1);
}

function mega(bytes: number | null): string {
  return bytes === null ? '' : (bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0);
}
