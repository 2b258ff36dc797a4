import type { GrantType } from '../registry/clients.ts';

/** How this server speaks the protocol; lifetimes in ms. */
export interface OAuthSettings {
  readonly code_lifetime: number;
  readonly access_token_lifetime: number;
  readonly machine_token_lifetime: number;
  /** From each rotation. */
  readonly refresh_token_lifetime: number;
  /** From the grant; no rotation moves it. */
  readonly refresh_token_absolute_lifetime: number;
  readonly refresh_retry_window: number;
  readonly clock_skew: number;
  /** What a client gets that asks for no scope. */
  readonly default_scope: string;
  readonly grant_types: readonly GrantType[];
  readonly registration: RegistrationSettings;
}

export interface RegistrationSettings {
  readonly mode: 'admin_only' | 'approved_redirects' | 'open';
  /** In mode `approved_redirects`: the only redirect URIs, also after sign-out, that may be registered, byte for byte. */
  readonly approved_redirects: readonly string[];
  /** Ceiling for clients that register without a scope; empty for none. */
  readonly default_client_scope: string;
}
