/** What happened at a sign-in, for the audit trail. Who keeps it is decided elsewhere. */
export interface IdentityEvent {
  readonly action: 'user.signed_in' | 'user.sign_in_failed' | 'user.locked_out';
  /** `user:<id>`, or `anonymous` while nobody has proven who they are. */
  readonly actor: string;
  readonly user_id: string | null;
  readonly ip: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Resolves once the event is kept. */
export type RecordEvent = (event: IdentityEvent) => Promise<void>;
