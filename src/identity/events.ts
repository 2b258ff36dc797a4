/** What happened, for the audit trail. Who keeps it is decided elsewhere. */
export interface IdentityEvent {
  readonly action:
    | 'user.signed_in'
    | 'user.sign_in_failed'
    | 'user.locked_out'
    | 'session.ended'
    | 'session.others_ended'
    | 'consent.granted'
    | 'consent.denied'
    | 'consent.withdrawn';
  /** The user's id, or `anonymous`. */
  readonly actor: string;
  readonly user_id: string | null;
  readonly client_id: string | null;
  readonly ip: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Resolves once the event is kept. */
export type RecordEvent = (event: IdentityEvent) => Promise<void>;
