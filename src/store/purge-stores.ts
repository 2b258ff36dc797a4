/** The walks by which rows go that nobody needs any more. */

/** Kinds of rows that a purge walks through, each by one rule. Named after their table, but where two share one. */
export type PurgeableRows =
  | 'assertion_jtis'
  | 'audit_events'
  | 'abandoned_clients'
  | 'auth_codes'
  | 'authorization_requests'
  | 'client_secrets'
  | 'connect_pending_states'
  | 'device_codes'
  | 'dpop_jtis'
  | 'dpop_nonces'
  | 'initial_access_tokens'
  | 'issuances_of_machines'
  | 'issuances_of_users'
  | 'login_failures'
  | 'pushed_requests'
  | 'refresh_tokens'
  | 'revocations'
  | 'sessions'
  | 'token_families'
  | 'verification_tokens';

/** How far a walk has come; only the kind of rows knows what it means. */
export interface PurgePlace {
  readonly from: number | string;
  /** Rows at `from` that have been looked at and stay. */
  readonly skip: number;
}

export interface PurgeWindow {
  /** Null to begin with. */
  readonly place: PurgePlace | null;
  /** How many rows the step may look at. */
  readonly look: number;
  /** Rows whose own time was over by then may go, ms. */
  readonly until: number;
  /** What they protect must have been over by then, ms. */
  readonly ended: number;
}

/** What a step took away. `next` is null when nothing is left to look at; `worked`: ms that others had to wait for it. */
export interface PurgeStep {
  readonly gone: number;
  readonly next: PurgePlace | null;
  readonly worked: number;
}

/** What a step would take away: so many of so many rows, and the end of the oldest of them. */
export interface PurgeLook {
  readonly looked: number;
  readonly ripe: number;
  readonly oldest: number | null;
  readonly next: PurgePlace | null;
}

/** A step of a walk takes away the rows that protect nothing any more. Two walks at once do no harm. */
export type PurgeStore = {
  readonly [Rows in PurgeableRows]: (input: PurgeWindow) => Promise<PurgeStep>;
};

/** The same steps, taking nothing away. */
export type PurgeableStore = {
  readonly [Rows in PurgeableRows]: (input: PurgeWindow) => Promise<PurgeLook>;
};
