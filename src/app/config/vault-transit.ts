import { duration, file, optional, section, text } from './key.ts';

/** The settings of one transit key of Vault or OpenBao. Two may be in use: one that signs and one that wraps data keys. */
export function vaultTransit(about: string, keyName: string, keyText: string) {
  return section(about, {
    address: optional(
      text({
        text: 'Its address: https, except on this machine.',
        default: undefined,
        example: 'https://vault.example.com:8200',
      }),
    ),
    mount: text({ text: 'Where the transit engine is mounted.', default: 'transit' }),
    key_name: text({ text: keyText, default: keyName }),
    namespace: optional(
      text({ text: 'The namespace, where there are any.', default: undefined, example: 'auth/prod' }),
    ),
    timeout: duration(
      { min: '100ms', max: '2m' },
      { text: 'How long one call may take, with all its retries.', default: '10s' },
    ),
    token: optional(text({ text: 'A token to call it with.', default: undefined, secret: true })),
    token_file: optional(
      file({
        text: 'A file that holds the token, such as the sink of an agent; read again when it changes.',
        default: undefined,
        example: '/run/vault/token',
      }),
    ),
    approle: section('Signing in by AppRole instead of a token. Leases are renewed at half their time.', {
      mount: text({ text: 'Where the method is mounted.', default: 'approle' }),
      role_id: optional(text({ text: 'The role.', default: undefined })),
      secret_id: optional(text({ text: 'Its secret id.', default: undefined, secret: true })),
      secret_id_file: optional(
        file({
          text: 'A file that holds the secret id; read at each sign-in, so that it can be replaced while the server runs.',
          default: undefined,
          example: '/run/secrets/vault-secret-id',
        }),
      ),
    }),
    tls: section('', {
      ca_file: optional(
        file({ text: 'Certificates (PEM) to trust instead of the system’s.', default: undefined }),
      ),
      cert_file: optional(file({ text: 'A client certificate (PEM).', default: undefined })),
      key_file: optional(file({ text: 'Its private key (PEM).', default: undefined })),
    }),
  });
}
