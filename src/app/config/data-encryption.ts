import { choice, duration, file, list, optional, section, text } from './key.ts';
import { vaultTransit } from './vault-transit.ts';

/** The settings of what seals secrets in the database. */
export const dataEncryption = section(
  'What seals secrets in the database. Every sealed row is under a data key, and every data key is wrapped by the master key, which is kept elsewhere.',
  {
    driver: choice(['none', 'aes_master', 'vault_transit'], {
      text: 'Where the master key is: nowhere, in these settings, or in Vault or OpenBao (`vault_transit_encrypt` is another name of it).',
      default: 'none',
      also: { vault_transit_encrypt: 'vault_transit' },
    }),
    key: optional(
      text({
        text: 'The master key: 64 hexadecimal digits, or 32 bytes in base64.',
        default: undefined,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax of the configuration file
        example: '${MASTER_KEY}',
        secret: true,
      }),
    ),
    key_file: optional(
      file({
        text: 'A file that holds the master key instead.',
        default: undefined,
        example: '/run/secrets/master-key',
      }),
    ),
    key_command: optional(
      list({
        text: 'A program, with its arguments, that prints the master key instead. It is run without a shell.',
        default: undefined,
        example: '/usr/local/bin/read-secret, authserver-master-key',
      }),
    ),
    key_command_timeout: duration(
      { min: '100ms', max: '5m' },
      { text: 'How long such a program may take.', default: '10s' },
    ),
    old_keys: optional(
      list({
        text: 'Former master keys, which only unwrap, until `authserver keys reencrypt` has said that nothing needs them.',
        default: undefined,
        secret: true,
      }),
    ),
    old_key_files: optional(
      list({
        text: 'Files that hold former master keys.',
        default: undefined,
        example: '/run/secrets/master-key-2026',
      }),
    ),
    old_key_command: optional(
      list({
        text: 'A program, with its arguments, that prints a former master key.',
        default: undefined,
      }),
    ),
    vault_transit: vaultTransit(
      'The transit engine of Vault or OpenBao that wraps data keys, for the driver `vault_transit`. With another driver, an address here makes it a former master key.',
      'authserver-data',
      'The transit key, of a type that encrypts (`aes256-gcm96`).',
    ),
  },
);
