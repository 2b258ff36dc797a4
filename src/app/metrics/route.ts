import { bearerCredentials } from '../../http/bearer.ts';
import type { Incoming, Route } from '../../http/exchange.ts';
import { OAuthError } from '../../http/oauth-error.ts';
import { equalSecrets, sha256 } from '../../kernel/bytes.ts';
import type { Config } from '../config.ts';
import type { Metrics } from './metrics.ts';
import { PROMETHEUS_TEXT, prometheusText } from './prometheus.ts';

/**
 * `GET /metrics`, for the admin listener; nothing where Prometheus is not to scrape. The numbers name nobody, so they are open
 * unless the settings have a token for them. It is never the key of the admin API, which would let a monitoring system do
 * everything.
 */
export function metricsRoutes(config: Config, metrics: Metrics): readonly Route[] {
  const { provider, token } = config.observability.metrics;
  if (provider === 'none' || provider === 'otel') return [];
  const expected = token === undefined ? undefined : sha256(token);
  return [
    {
      method: 'GET',
      path: '/metrics',
      kind: 'api',
      body: 'none',
      async handle(request) {
        if (expected !== undefined) admit(request, expected);
        const body = prometheusText(await metrics.read());
        return { status: 200, headers: { 'content-type': PROMETHEUS_TEXT }, body };
      },
    },
  ];
}

/** Who can open the socket needs no token, as with the admin API. */
function admit(request: Incoming, expected: string): void {
  if (request.via !== 'tcp') return;
  const given = bearerCredentials(request.headers.authorization);
  if (given !== undefined && equalSecrets(sha256(given), expected)) return;
  throw new OAuthError('invalid_token', 'The metrics need the token of observability.metrics.token.', {
    headers: { 'www-authenticate': 'Bearer' },
  });
}
