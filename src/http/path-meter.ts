import type { Counter, Histogram, Meter } from '../kernel/metrics.ts';
import type { OAuthErrorCode } from './oauth-error.ts';

/** Methods that are told apart; others are few, and the name of one could be anything. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Counts and times the requests of one path. Its series are made when first needed and kept. */
export class PathMeter {
  readonly #meter: Meter;
  readonly #labels: { readonly listener: string; readonly route: string };
  readonly #answered = new Map<string, Counter[]>();
  readonly #durations = new Map<string, Histogram>();

  /** @param route the pattern, never an address that somebody asked for */
  constructor(meter: Meter, listener: string, route: string) {
    this.#meter = meter;
    this.#labels = { listener, route };
  }

  answered(method: string, status: number): void {
    let byClass = this.#answered.get(method);
    if (byClass === undefined) {
      byClass = [];
      this.#answered.set(method, byClass);
    }
    const hundreds = Math.floor(status / 100);
    let counter = byClass[hundreds];
    if (counter === undefined) {
      const labels = { ...this.#labels, method: nameOf(method), status: `${hundreds}xx` };
      counter = this.#meter.counter('authserver_http_requests_total', labels);
      byClass[hundreds] = counter;
    }
    counter.add();
  }

  /** @param ms from the complete request to its answer */
  took(method: string, ms: number): void {
    let duration = this.#durations.get(method);
    if (duration === undefined) {
      const labels = { ...this.#labels, method: nameOf(method) };
      duration = this.#meter.histogram('authserver_http_request_duration_seconds', labels);
      this.#durations.set(method, duration);
    }
    duration.observe(ms / 1000);
  }

  /** An error of the protocol that was answered here. */
  refused(error: OAuthErrorCode): void {
    this.#meter.counter('authserver_oauth_errors_total', { route: this.#labels.route, error }).add();
  }
}

function nameOf(method: string): string {
  return METHODS.has(method) ? method : 'other';
}
