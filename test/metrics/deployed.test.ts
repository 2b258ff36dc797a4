// The alerts and the dashboard name only what there is. test/metrics/server.test.ts finds the same names in a real scrape.

import { execFileSync, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { metricTable } from '../../src/app/metrics/table.ts';
import { ALERTS, alertRules, allExpressions, dashboardExpressions, ROOT } from './deployed.ts';
import { readExpression, type Selector } from './promql.ts';

/** Labels that Prometheus gives to whatever it scrapes. */
const GIVEN = ['instance', 'job'];

/** What is wrong with an expression, by the table of metrics. */
function faultsOf(expr: string): string[] {
  const { selectors, grouping } = readExpression(expr);
  const known = new Set([...GIVEN, ...selectors.flatMap(({ metric }) => labelsOf(metric))]);
  return [
    ...selectors.flatMap(selectorFaults),
    ...grouping.filter((label) => !known.has(label)).map((label) => `nothing here has the label ${label}`),
  ];
}

function selectorFaults({ metric, matchers }: Selector): string[] {
  const description = metricTable[baseOf(metric)];
  if (!description) return [`there is no metric ${metric}`];
  const isPart = metric !== baseOf(metric);
  if ((description.type === 'histogram') !== isPart)
    return [`${metric} is asked for as if it were ${isPart ? 'a' : 'no'} histogram`];
  return matchers.flatMap(({ label, operator, value }) => {
    if (!labelsOf(metric).includes(label) && !GIVEN.includes(label))
      return [`${metric} has no label ${label}`];
    const values = description.labels[label];
    if (values === undefined || values === 'few' || !['=', '=~'].includes(operator)) return [];
    const named = operator === '=' ? [value] : value.split('|').filter((each) => each !== '.*');
    return named
      .filter((each) => !values.includes(each))
      .map((each) => `${metric} is never ${label}="${each}"`);
  });
}

function labelsOf(metric: string): string[] {
  const labels = Object.keys(metricTable[baseOf(metric)]?.labels ?? {});
  return metric.endsWith('_bucket') ? [...labels, 'le'] : labels;
}

function baseOf(metric: string): string {
  const base = metric.replace(/_(bucket|sum|count)$/, '');
  return metricTable[base]?.type === 'histogram' ? base : metric;
}

describe('the reader of expressions', () => {
  test.each([
    ['rate(authserver_sessions_started_totals[5m])', /no metric authserver_sessions_started_totals/],
    ['sum by (user) (rate(authserver_sessions_started_total[5m]))', /label user/],
    ['authserver_sign_ins_total{client="x"}', /no label client/],
    ['authserver_sign_ins_total{outcome="failed"}', /never outcome="failed"/],
    ['rate(authserver_sqlite_batch_size[5m])', /histogram/],
    ['up == 0', /no metric up/],
  ])('finds the fault in %s', (expr, fault) => {
    expect(faultsOf(expr).join()).toMatch(fault);
  });

  test('does not take a slip in a function for a metric that it need not look at', () => {
    expect(faultsOf('ratte(authserver_sessions_started_total[5m])')).toEqual(['there is no metric ratte']);
  });
});

test('every alert and every panel names metrics, labels and values that there are', async () => {
  const expressions = await allExpressions();
  expect(expressions.length).toBeGreaterThan(50);
  const faults = expressions.flatMap(({ where, expr }) =>
    faultsOf(expr).map((fault) => `${where}: ${fault}`),
  );
  expect(faults).toEqual([]);
});

test('the dashboard shows every metric of the table, and no panel is empty', async () => {
  const shown = new Set(
    (await dashboardExpressions()).flatMap(({ expr }) =>
      readExpression(expr).selectors.map(({ metric }) => baseOf(metric)),
    ),
  );
  expect(Object.keys(metricTable).filter((name) => !shown.has(name))).toEqual([]);
});

test('every alert says what happened and leads to a place in the runbook', async () => {
  const runbook = await readFile(path.join(ROOT, 'docs', 'operate', 'monitoring.md'), 'utf8');
  const anchors = [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase());
  const rules = await alertRules();
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { alert, labels, annotations } of rules) {
    expect(alert).toMatch(/^Authserver[A-Z]\w+$/);
    expect(['critical', 'warning']).toContain(labels['severity']);
    expect(annotations['summary'], alert).toMatch(/\.$/);
    expect(annotations['description'], alert).toMatch(/\.$/);
    expect(annotations['runbook']).toBe(`docs/operate/monitoring.md#${alert.toLowerCase()}`);
    expect(anchors, alert).toContain(alert.toLowerCase());
  }
  const named = anchors.filter((anchor) => anchor.startsWith('authserver') && !anchor.includes(' '));
  expect(named.toSorted()).toEqual(rules.map(({ alert }) => alert.toLowerCase()).toSorted());
});

test('no alert hides one deployment behind another that the same Prometheus scrapes', async () => {
  for (const { alert, expr } of await alertRules()) {
    for (const [whole, grouping = ''] of expr.matchAll(/\b(?:sum|min|max|avg|count)\b(?: by \(([^)]*)\))?/g))
      expect(grouping, `${alert}: ${whole}`).toMatch(/\b(instance|job)\b/);
  }
});

test('commands that alerts name are commands that there are', async () => {
  const program = path.join(ROOT, 'bin', 'authserver');
  const commands = (await alertRules()).flatMap(({ annotations }) => annotations['command'] ?? []);
  const names = new Set(commands.map((line) => line.replace(/^authserver /, '').replace(/ --.*$/, '')));
  expect(names.size).toBeGreaterThan(2);
  for (const name of names) {
    const { status, stdout } = spawnSync(process.execPath, [program, ...name.split(' '), '--help']);
    expect(status, `authserver ${name}`).toBe(0);
    expect(stdout.toString()).toContain(`Usage: authserver ${name}`);
  }
});

const promtool = spawnSync('promtool', ['--version']).status === 0;
test.skipIf(!promtool)(
  `promtool accepts the alerts${promtool ? '' : ' (skipped: promtool is not installed)'}`,
  () => {
    expect(execFileSync('promtool', ['check', 'rules', ALERTS]).toString()).toMatch(/SUCCESS/);
  },
);
