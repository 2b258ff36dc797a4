// Owns the files that operators load into Prometheus and Grafana, as the tests read them.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';

export const ROOT = path.join(import.meta.dirname, '..', '..');
export const ALERTS = path.join(ROOT, 'deploy', 'alerts.yaml');

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** An expression and where it stands. */
export interface Placed {
  readonly where: string;
  readonly expr: string;
}

export async function alertRules(): Promise<readonly AlertRule[]> {
  const { groups } = parse(await readFile(ALERTS, 'utf8')) as { groups: { rules: AlertRule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** What Grafana asks Prometheus, its own variables filled in. */
export async function dashboardExpressions(): Promise<readonly Placed[]> {
  const file = path.join(ROOT, 'deploy', 'grafana', 'authserver.json');
  const dashboard = JSON.parse(await readFile(file, 'utf8')) as {
    panels: readonly Panel[];
    templating: { list: readonly { name: string; definition?: string }[] };
  };
  const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ where: `panel ${title}`, expr })),
  );
  const variables = dashboard.templating.list.flatMap(({ name, definition }) =>
    definition ? [{ where: `variable ${name}`, expr: definition.replace(/, instance\)$/, ')') }] : [],
  );
  return [...panels, ...variables].map(({ where, expr }) => ({
    where,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
  }));
}

/** Everything that is asked of Prometheus. */
export async function allExpressions(): Promise<readonly Placed[]> {
  const alerts = (await alertRules()).map(({ alert, expr }) => ({ where: `alert ${alert}`, expr }));
  return [...alerts, ...(await dashboardExpressions())];
}
