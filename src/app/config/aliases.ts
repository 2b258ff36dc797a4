import { formatOrigin } from './fault.ts';
import { keys } from './keys.ts';
import type { Environment, Source, Written } from './source.ts';

/** Values under the names that other systems gave them, and one line for each name to log. */
export interface Aliases {
  readonly values: ReadonlyMap<string, Written>;
  readonly notices: readonly string[];
}

/** Names that do not follow from the path of the key. */
const RENAMED: Readonly<Record<string, string>> = {
  AUTHPLANE_METRICS_PROVIDER: 'observability.metrics.provider',
};

/** Names of OpenTelemetry's own, which count where nothing else names the collector. */
const STANDARD: Readonly<Record<string, string>> = {
  OTEL_EXPORTER_OTLP_ENDPOINT: 'observability.metrics.otlp.endpoint',
  OTEL_EXPORTER_OTLP_HEADERS: 'observability.metrics.otlp.headers',
};

/**
 * Reads `AUTHPLANE_*`, which rank as the `AUTHSERVER_*` of the same key but lose against it, and the two database
 * addresses, which count only where nothing else names one: a `DATABASE_URL` may be meant for another program. A
 * `HELLOJOHN_JWT_SIGNING_KEY` chooses the key store `env` where nothing else chooses one.
 */
export function readAliases(env: Environment, environment: Source, file: Source): Aliases {
  const values = new Map<string, Written>();
  const notices: string[] = [];
  const adopt = (path: string, variable: string, value: string, winner: Written | undefined) => {
    // A file may take the value from the very same variable.
    if (winner?.value === value) return;
    if (winner) notices.push(`${variable} is ignored: ${path} (${formatOrigin(winner.origin)}) wins.`);
    else {
      values.set(path, { value, origin: { from: 'environment', variable } });
      notices.push(`${variable} is read as ${variableOf(path)}; use that name from now on.`);
    }
  };

  for (const [variable, value] of Object.entries(env)) {
    if (!value || !variable.startsWith('AUTHPLANE_')) continue;
    const path = RENAMED[variable] ?? pathOf(variable.replace('AUTHPLANE_', 'AUTHSERVER_'));
    if (path === undefined) notices.push(`${variable} has no counterpart here and is ignored.`);
    else adopt(path, variable, value, environment.values.get(path));
  }

  const named = (path: string) => environment.values.get(path) ?? values.get(path) ?? file.values.get(path);
  for (const variable of ['HELLOJOHN_DATABASE_URL', 'DATABASE_URL']) {
    const value = env[variable];
    if (!value || !/^postgres(ql)?:\/\//.test(value)) continue;
    adopt('storage.postgres.dsn', variable, value, named('storage.postgres.dsn'));
    if (values.get('storage.postgres.dsn')?.value === value && !named('storage.driver')) {
      values.set('storage.driver', { value: 'postgres', origin: { from: 'environment', variable } });
    }
  }
  for (const [variable, path] of Object.entries(STANDARD)) {
    const value = env[variable];
    if (value && !named(path)) values.set(path, { value, origin: { from: 'environment', variable } });
  }
  const variable = 'HELLOJOHN_JWT_SIGNING_KEY';
  const key = env[variable];
  if (key) {
    adopt('signing.key', variable, key, named('signing.key'));
    if (values.get('signing.key')?.value === key && !named('signing.key_store')) {
      values.set('signing.key_store', { value: 'env', origin: { from: 'environment', variable } });
    }
  }
  return { values, notices };
}

function pathOf(variable: string): string | undefined {
  return keys.find((placed) => placed.variable === variable)?.path;
}

function variableOf(path: string): string | undefined {
  return keys.find((placed) => placed.path === path)?.variable;
}
