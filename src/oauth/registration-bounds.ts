/**
 * What a client that registers itself cannot have on its own word (RFC 7591, RFC 7592). Where a user consents, the user
 * decides; a client that acts for itself, and an address that people are sent to, take an administrator's word.
 */
import { OAuthError } from '../http/oauth-error.ts';
import type { Client, GrantType } from '../registry/clients.ts';
import type { ClientMetadata } from '../registry/metadata.ts';
import { scopeWithin } from '../registry/scopes.ts';
import type { RegistrationSettings } from './settings.ts';

type Addresses = Pick<Client, 'redirect_uris' | 'post_logout_redirect_uris'>;

/**
 * The grants that are open to a client. Who asks for others too gets those that are (RFC 7591 section 3.2.1).
 * @throws OAuthError `invalid_client_metadata` when it asks for nothing but to act for itself and may not
 */
export function openGrants(
  input: unknown,
  actsForItself: boolean,
  offered: readonly GrantType[],
): readonly GrantType[] {
  if (actsForItself || !offered.includes('client_credentials')) return offered;
  const open = offered.filter((type) => type !== 'client_credentials');
  const asked = (input as { grant_types?: unknown } | null)?.grant_types;
  if (!Array.isArray(asked) || !asked.includes('client_credentials')) return open;
  if (open.some((type) => asked.includes(type))) return open;
  throw new OAuthError(
    'invalid_client_metadata',
    'The grant client_credentials needs an initial access token with a scope: ask an administrator for one.',
  );
}

/**
 * The scope of a new client.
 * @param vouched the scope of its initial access token, which bounds a client that acts for itself
 */
export function firstScope(
  { scope, grant_types }: ClientMetadata,
  vouched: string,
  { default_client_scope }: RegistrationSettings,
): string {
  if (!grant_types.includes('client_credentials')) return scope || default_client_scope;
  if (scopeWithin(scope, vouched)) return scope || vouched;
  throw new OAuthError(
    'invalid_client_metadata',
    'The scope goes beyond that of the initial access token, which bounds it for the grant client_credentials.',
  );
}

/** The scope of a client that changes its metadata: it may give up some, and gets none back. */
export function laterScope(
  { scope }: ClientMetadata,
  client: Client,
  { default_client_scope }: RegistrationSettings,
): string {
  const isBound = client.scope !== '' || client.grant_types.includes('client_credentials');
  if (!isBound) return scope || default_client_scope;
  if (scopeWithin(scope, client.scope)) return scope || client.scope;
  throw new OAuthError(
    'invalid_client_metadata',
    'The scope cannot grow beyond the one that the client has: ask an administrator.',
  );
}

/** In the mode `approved_redirects`, addresses that the client does not have yet must be approved ones. */
export function refuseForeignAddresses(
  metadata: Addresses,
  known: Addresses | null,
  { mode, approved_redirects }: RegistrationSettings,
): void {
  if (mode !== 'approved_redirects') return;
  for (const member of ['redirect_uris', 'post_logout_redirect_uris'] as const) {
    const taken = [...approved_redirects, ...(known?.[member] ?? [])];
    const foreign = metadata[member].find((uri) => !taken.includes(uri));
    if (foreign === undefined) continue;
    throw new OAuthError(
      member === 'redirect_uris' ? 'invalid_redirect_uri' : 'invalid_client_metadata',
      `Only ${member} that an administrator has approved can be registered here.`,
      { detail: `not approved: ${foreign}` },
    );
  }
}
