/** Metadata that goes together, under the names that people use; any of it can be said otherwise. */
export const clientKinds = {
  /** A server-side web application, which can keep a secret. */
  web: {
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
  },
  /** The same by RFC 6749's name. */
  confidential: {
    application_type: 'web',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
  },
  /** An app on the person's own device (RFC 8252). */
  native: {
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
  },
  /** A client without a secret: an app, a command line, a page that runs in the browser. */
  public: {
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
  },
  /** A program that acts for itself; nobody signs in to it. */
  service: {
    application_type: 'service',
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
  },
} as const;

export type ClientKind = keyof typeof clientKinds;

export const clientKindNames = Object.keys(clientKinds) as [ClientKind, ...ClientKind[]];
