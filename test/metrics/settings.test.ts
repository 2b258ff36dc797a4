// The settings of metrics: their names elsewhere, and what is refused.

import { describe, expect, test } from 'vitest';
import { describeConfig } from '../../src/app/config/print.ts';
import { ConfigurationFailure, loadConfig } from '../../src/app/config.ts';

const load = (env: Record<string, string>) => loadConfig({ file: undefined, env, terminal: false });

async function faultsOf(env: Record<string, string>): Promise<string[]> {
  const failure: unknown = await load(env).catch((error: unknown) => error);
  if (!(failure instanceof ConfigurationFailure)) throw new Error('the settings were accepted');
  return failure.faults.map(({ path, problem }) => `${path} ${problem}`);
}

const OTLP = 'AUTHSERVER_OBSERVABILITY_METRICS_OTLP';

test('are a scrape and nothing else by default', async () => {
  const { config } = await load({});
  expect(config.observability.metrics).toEqual({
    provider: 'prometheus',
    token: undefined,
    otlp: { endpoint: 'http://localhost:4318', headers: [], interval: 60_000, timeout: 10_000 },
  });
});

describe('other names', () => {
  test('the one of AuthPlane is read, and our own is named', async () => {
    const { config, notices } = await load({ AUTHPLANE_METRICS_PROVIDER: 'otel' });
    expect(config.observability.metrics.provider).toBe('otel');
    expect(notices).toEqual([
      'AUTHPLANE_METRICS_PROVIDER is read as AUTHSERVER_OBSERVABILITY_METRICS_PROVIDER; use that name from now on.',
    ]);
  });

  test('those of OpenTelemetry are read without a word, and ours win', async () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20one,tenant=two',
    };
    const { config, notices } = await load(env);
    expect(notices).toEqual([]);
    expect(config.observability.metrics.otlp).toMatchObject({
      endpoint: 'http://collector:4318',
      headers: ['authorization=Bearer%20one', 'tenant=two'],
    });
    const ours = await load({ ...env, [`${OTLP}_ENDPOINT`]: 'https://ours.example' });
    expect(ours.config.observability.metrics.otlp.endpoint).toBe('https://ours.example');
  });
});

test.each([
  [{ AUTHSERVER_OBSERVABILITY_METRICS_PROVIDER: 'statsd' }, /provider must be one of: prometheus/],
  [{ AUTHSERVER_OBSERVABILITY_METRICS_TOKEN: 'short' }, /token must have at least 16 characters/],
  [{ [`${OTLP}_ENDPOINT`]: 'collector:4318' }, /endpoint must be an http/],
  [{ [`${OTLP}_HEADERS`]: 'no-value' }, /headers must hold only name=value/],
  [{ [`${OTLP}_HEADERS`]: 'a=%zz' }, /headers must hold values that are percent-encoded/],
  [{ [`${OTLP}_INTERVAL`]: '5s' }, /timeout must not exceed observability.metrics.otlp.interval/],
])('%o is refused', async (env, fault) => {
  expect((await faultsOf(env)).join()).toMatch(fault);
});

test('the token and the headers are never shown', async () => {
  const loaded = await load({
    AUTHSERVER_OBSERVABILITY_METRICS_TOKEN: 'nB7-w2Qx_metrics_L0vz',
    [`${OTLP}_HEADERS`]: 'authorization=Bearer%20hidden',
  });
  expect(JSON.stringify(describeConfig(loaded))).not.toMatch(/nB7-w2Qx|hidden/);
  const faults = await faultsOf({ [`${OTLP}_HEADERS`]: 'hidden%zz=%zz' });
  expect(faults.join()).not.toContain('hidden');
});
