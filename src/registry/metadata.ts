/**
 * Client metadata (RFC 7591 section 2, OpenID Connect Dynamic Client Registration section 2): one set of rules for what an
 * administrator enters and for what a client says about itself. On the wire members have the RFC's names; in a `Client`
 * `client_name` is `name`, and lifetimes are ms instead of seconds.
 */
import { z } from 'zod';
import { type Fault, faultsOf, sentence } from '../http/json-body.ts';
import { OAuthError } from '../http/oauth-error.ts';
import { isLoopbackHost } from '../kernel/loopback.ts';
import { clientJwksFault, publicMembers } from './client-jwks.ts';
import { clientNameFault } from './client-name.ts';
import type { Client, GrantType } from './clients.ts';
import { inMilliseconds, inSeconds, LONGEST_ACCESS_TOKEN, lifetime } from './lifetimes.ts';
import { redirectUriFault } from './redirect-uris.ts';
import { resourceUriFault } from './resources.ts';
import { formatScope, parseScope } from './scopes.ts';

/** What a client is, apart from its id, its secrets and its history. */
export type ClientMetadata = Pick<
  Client,
  | 'name'
  | 'application_type'
  | 'token_endpoint_auth_method'
  | 'grant_types'
  | 'response_types'
  | 'redirect_uris'
  | 'post_logout_redirect_uris'
  | 'scope'
  | 'audiences'
  | 'jwks'
  | 'require_pkce'
  | 'skip_consent'
  | 'access_token_lifetime'
  | 'refresh_token_lifetime'
  | 'refresh_token_absolute_lifetime'
  | 'client_uri'
  | 'logo_uri'
  | 'policy_uri'
  | 'tos_uri'
  | 'contacts'
>;

export interface MetadataPolicy {
  /**
   * `client`: it speaks for itself (dynamic registration): members that only an administrator may set count as unknown,
   * and unknown ones are ignored (RFC 7591 section 2). `administrator`: every member is taken or refused.
   */
  readonly by: 'client' | 'administrator';
  /** The grants that this server offers. */
  readonly grantTypes: readonly GrantType[];
}

const MOST_URIS = 50;
const LONGEST_REFRESH_TOKEN = '3650d';

const webPage = z
  .string()
  .refine((uri) => pageUriFault(uri) === undefined, { error: ({ input }) => pageUriFault(String(input)) });
const uris = z.array(z.string()).max(MOST_URIS);

/** A scope as it is entered. */
export const scopeText = z
  .string()
  .max(4096)
  .refine(
    (scope) => parseScope(scope) !== undefined,
    'must be scope tokens with one space between (RFC 6749 section 3.3)',
  );

const membersOfClient = {
  redirect_uris: uris,
  post_logout_redirect_uris: uris,
  token_endpoint_auth_method: z.enum([
    'none',
    'client_secret_basic',
    'client_secret_post',
    'private_key_jwt',
  ]),
  grant_types: z.array(z.string()).min(1).max(20),
  response_types: z.array(z.string()).max(20),
  application_type: z.enum(['web', 'native']),
  client_name: z
    .string()
    .max(200)
    .refine((name) => clientNameFault(name) === undefined, {
      error: ({ input }) => clientNameFault(String(input)),
    }),
  client_uri: webPage,
  logo_uri: webPage,
  tos_uri: webPage,
  policy_uri: webPage,
  contacts: z.array(z.string().max(254)).max(20),
  scope: scopeText,
  jwks: z
    .unknown()
    .refine((jwks) => clientJwksFault(jwks) === undefined, { error: ({ input }) => clientJwksFault(input) }),
  jwks_uri: z.unknown().refine(() => false, 'is not supported: send the keys themselves as jwks'),
};

const membersOfAdministrator = {
  ...membersOfClient,
  application_type: z.enum(['web', 'native', 'service']),
  audiences: uris,
  require_pkce: z.boolean(),
  skip_consent: z.boolean(),
  access_token_lifetime: lifetime(LONGEST_ACCESS_TOKEN),
  refresh_token_lifetime: lifetime(LONGEST_REFRESH_TOKEN),
  refresh_token_absolute_lifetime: lifetime(LONGEST_REFRESH_TOKEN),
};

const clientSchema = z.object(membersOfClient).partial();
const administratorSchema = z.strictObject(membersOfAdministrator).partial();

/**
 * Checks metadata as it came in and fills in what RFC 7591 section 2 says of absent members. A member that is null counts
 * as absent. Throws `invalid_redirect_uri` or `invalid_client_metadata` with every fault in the description.
 */
export function checkMetadata(input: unknown, policy: MetadataPolicy): ClientMetadata {
  const schema = policy.by === 'client' ? clientSchema : administratorSchema;
  const body = withoutNulls(input);
  const read = schema.safeParse(body);
  if (!read.success) throw refusal(faultsOf(read.error, schema, body));
  const metadata = fillIn(read.data, policy);
  const faults = [...redirectFaults(metadata), ...grantFaults(metadata, policy), ...settingFaults(metadata)];
  if (faults.length > 0) throw refusal(faults);
  return metadata;
}

/** The metadata with the RFC's names, as registration answers it; `by: 'administrator'` shows what only they may set too. */
export function showMetadata(client: ClientMetadata, by: MetadataPolicy['by']): Record<string, unknown> {
  const shown = {
    client_name: client.name,
    application_type: client.application_type,
    token_endpoint_auth_method: client.token_endpoint_auth_method,
    grant_types: client.grant_types,
    response_types: client.response_types,
    redirect_uris: client.redirect_uris,
    post_logout_redirect_uris: client.post_logout_redirect_uris,
    scope: client.scope,
    contacts: client.contacts,
    client_uri: client.client_uri,
    logo_uri: client.logo_uri,
    policy_uri: client.policy_uri,
    tos_uri: client.tos_uri,
    jwks: client.jwks,
  };
  if (by === 'client') return withoutNulls(shown) as Record<string, unknown>;
  return withoutNulls({
    ...shown,
    audiences: client.audiences,
    require_pkce: client.require_pkce,
    skip_consent: client.skip_consent,
    access_token_lifetime: inSeconds(client.access_token_lifetime),
    refresh_token_lifetime: inSeconds(client.refresh_token_lifetime),
    refresh_token_absolute_lifetime: inSeconds(client.refresh_token_absolute_lifetime),
  }) as Record<string, unknown>;
}

function fillIn(read: z.output<typeof administratorSchema>, policy: MetadataPolicy): ClientMetadata {
  const grants = read.grant_types ?? ['authorization_code'];
  // A client may ask for more grants than we have; section 3.2.1 lets us answer with those that it gets.
  const kept = policy.by === 'client' ? grants.filter((grant) => isOffered(grant, policy)) : grants;
  const usesCode = kept.includes('authorization_code');
  const responseTypes = read.response_types ?? (usesCode ? ['code'] : []);
  return {
    name: read.client_name ?? '',
    application_type: read.application_type ?? 'web',
    token_endpoint_auth_method: read.token_endpoint_auth_method ?? 'client_secret_basic',
    grant_types: [...new Set(kept)] as GrantType[],
    response_types: policy.by === 'client' ? responseTypes.filter((type) => type === 'code') : responseTypes,
    redirect_uris: read.redirect_uris ?? [],
    post_logout_redirect_uris: read.post_logout_redirect_uris ?? [],
    scope: formatScope(parseScope(read.scope ?? '') ?? []),
    audiences: read.audiences ?? [],
    jwks: read.jwks === undefined ? null : publicMembers(read.jwks as NonNullable<ClientMetadata['jwks']>),
    require_pkce: read.require_pkce ?? true,
    skip_consent: read.skip_consent ?? false,
    access_token_lifetime: inMilliseconds(read.access_token_lifetime),
    refresh_token_lifetime: inMilliseconds(read.refresh_token_lifetime),
    refresh_token_absolute_lifetime: inMilliseconds(read.refresh_token_absolute_lifetime),
    client_uri: read.client_uri ?? null,
    logo_uri: read.logo_uri ?? null,
    policy_uri: read.policy_uri ?? null,
    tos_uri: read.tos_uri ?? null,
    contacts: read.contacts ?? [],
  };
}

function redirectFaults(metadata: ClientMetadata): Fault[] {
  const faults: Fault[] = [];
  for (const member of ['redirect_uris', 'post_logout_redirect_uris'] as const) {
    for (const [index, uri] of metadata[member].entries()) {
      const text = redirectUriFault(uri, metadata.application_type);
      if (text) faults.push({ member: `${member}[${index}]`, text });
    }
  }
  if (metadata.grant_types.includes('authorization_code') && metadata.redirect_uris.length === 0) {
    faults.push({
      member: 'redirect_uris',
      text: 'must have at least one entry for the grant authorization_code',
    });
  }
  return faults;
}

function grantFaults(metadata: ClientMetadata, policy: MetadataPolicy): Fault[] {
  const faults: Fault[] = [];
  const fault = (member: string, text: string) => faults.push({ member, text });
  const { grant_types, response_types } = metadata;
  const offered = policy.grantTypes.join(', ');
  if (!grant_types.every((grant) => isOffered(grant, policy)))
    fault('grant_types', `may have only ${offered}`);
  if (grant_types.length === 0) fault('grant_types', `must have at least one of ${offered}`);
  if (response_types.some((type) => type !== 'code')) fault('response_types', 'may have only code');
  const usesCode = grant_types.includes('authorization_code');
  if (usesCode !== response_types.includes('code')) {
    fault(
      'response_types',
      'must have code exactly when grant_types has authorization_code (RFC 7591 section 2.1)',
    );
  }
  if (grant_types.includes('refresh_token') && !usesCode) {
    fault('grant_types', 'must have authorization_code where it has refresh_token');
  }
  if (metadata.application_type === 'service' && usesCode) {
    fault('grant_types', 'must not have authorization_code for a service: nobody signs in to it');
  }
  if (grant_types.includes('client_credentials') && metadata.token_endpoint_auth_method === 'none') {
    fault('token_endpoint_auth_method', 'must not be none with the grant client_credentials');
  }
  return faults;
}

function settingFaults(metadata: ClientMetadata): Fault[] {
  const faults: Fault[] = [];
  const fault = (member: string, text: string) => faults.push({ member, text });
  if (!metadata.require_pkce && metadata.token_endpoint_auth_method === 'none') {
    fault(
      'require_pkce',
      'must be true for a public client: nothing else protects its codes (RFC 9700 section 2.1.1)',
    );
  }
  if (metadata.token_endpoint_auth_method === 'private_key_jwt' && !metadata.jwks) {
    fault('jwks', 'is required for private_key_jwt');
  }
  const { refresh_token_lifetime: sliding, refresh_token_absolute_lifetime: absolute } = metadata;
  if (sliding !== null && absolute !== null && sliding > absolute) {
    fault('refresh_token_lifetime', 'must not be longer than refresh_token_absolute_lifetime');
  }
  for (const [index, uri] of metadata.audiences.entries()) {
    const text = resourceUriFault(uri);
    if (text) fault(`audiences[${index}]`, text);
  }
  return faults;
}

/** Only addresses that a browser may follow or load: never `javascript:`, never plain http across a network. */
function pageUriFault(uri: string): string | undefined {
  if (uri.length > 2048) return 'must have at most 2048 characters';
  if (!URL.canParse(uri)) return 'must be an absolute URI';
  const { protocol, hostname } = new URL(uri);
  if (protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))) return undefined;
  return 'must be https (http on a loopback address only)';
}

/** `invalid_redirect_uri` where nothing but redirect URIs is wrong (RFC 7591 section 3.2.2). */
function refusal(faults: readonly Fault[]): OAuthError {
  const onlyRedirects = faults.every(({ member }) => member.startsWith('redirect_uris'));
  return new OAuthError(
    onlyRedirects ? 'invalid_redirect_uri' : 'invalid_client_metadata',
    `${sentence(faults)}.`,
  );
}

function isOffered(grant: string, policy: MetadataPolicy): boolean {
  return (policy.grantTypes as readonly string[]).includes(grant);
}

function withoutNulls(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input;
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== null));
}
