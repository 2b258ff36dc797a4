// Writes docs/metrics.md from the table of metrics; with --check it only says whether the file is current.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type MetricDescription, metricTable } from '../src/app/metrics/table.ts';

const FILE = path.join(import.meta.dirname, '..', 'docs', 'metrics.md');

const INTRODUCTION = `# Metrics

<!-- Written by tools/metrics-docs.ts from src/app/metrics/table.ts; change it there. -->

What the server tells in numbers, under the same names by scrape and by push. [operate/monitoring.md](operate/monitoring.md) says
how to get them and what to do when one of them is bad. Labels never name a client, a user or an address.

| metric | type | labels | meaning |
|---|---|---|---|
`;

/** The whole document. */
export function metricsDocs(): string {
  return INTRODUCTION + Object.entries(metricTable).map(writeRow).join('');
}

function writeRow([name, { type, labels, help, engine }]: [string, MetricDescription]): string {
  const names = Object.keys(labels).map((label) => `\`${label}\``);
  const only = engine === undefined ? '' : ` (${engine === 'sqlite' ? 'SQLite' : 'PostgreSQL'} only)`;
  return `| \`${name}\` | ${type} | ${names.join(', ')} | ${help}${only} |\n`;
}

/** Whether docs/metrics.md says what the program does. */
export async function isCurrent(): Promise<boolean> {
  return (await readFile(FILE, 'utf8').catch(() => '')) === metricsDocs();
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) await writeFile(FILE, metricsDocs());
  else if (!(await isCurrent())) {
    console.error('docs/metrics.md is not current. Run: node tools/metrics-docs.ts');
    process.exitCode = 1;
  }
}
