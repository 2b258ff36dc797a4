import type { Counter, Meter } from '../../kernel/metrics.ts';

/** Counts the tokens that one grant gives away. */
export class IssuedTokens {
  readonly #access: Counter;
  readonly #refresh: Counter;
  readonly #id: Counter;

  constructor(meter: Meter, grant_type: string) {
    const count = (kind: string) => meter.counter('authserver_tokens_issued_total', { grant_type, kind });
    this.#access = count('access_token');
    this.#refresh = count('refresh_token');
    this.#id = count('id_token');
  }

  /** An access token goes with every answer, the others only with some. */
  count(refreshToken: string | null, idToken: string | null): void {
    this.#access.add();
    if (refreshToken !== null) this.#refresh.add();
    if (idToken !== null) this.#id.add();
  }
}
