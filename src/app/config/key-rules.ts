/** Rules about where keys are kept and what wraps them. */
import { staysOnThisMachine } from '../../kernel/loopback.ts';
import type { Rule } from './rule.ts';
import type { Config } from './tree.ts';

type Broken = ReturnType<Rule['check']>;
type VaultTransit = Config['signing']['vault_transit'];

export const keyRules: readonly Rule[] = [
  {
    about: ['signing.key_store', 'data_encryption.driver'],
    check: ({ signing, data_encryption }) =>
      signing.key_store === 'database' && data_encryption.driver === 'none'
        ? {
            problem: 'must not be database while data_encryption.driver is none',
            hint: 'Set data_encryption.driver to aes_master and AUTHSERVER_DATA_ENCRYPTION_KEY to what `openssl rand -hex 32` prints.',
          }
        : undefined,
  },
  {
    about: ['signing.key', 'signing.key_store'],
    check: ({ signing }) =>
      signing.key_store === 'env' && signing.key === undefined && signing.key_next === undefined
        ? {
            problem: 'is needed with signing.key_store env',
            hint: 'Set AUTHSERVER_SIGNING_KEY to a private key in PEM, such as `openssl genpkey -algorithm ed25519` prints.',
          }
        : undefined,
  },
  {
    about: [
      'data_encryption.key',
      'data_encryption.driver',
      'data_encryption.key_file',
      'data_encryption.key_command',
    ],
    check: ({ data_encryption: { driver, key, key_file, key_command } }) =>
      masterKeyFault(driver, [key, key_file, key_command]),
  },
  ...vaultRules('signing.vault_transit', ({ signing }) => ({
    vault: signing.vault_transit,
    needed: signing.key_store === 'vault_transit' ? 'signing.key_store vault_transit' : undefined,
  })),
  ...vaultRules('data_encryption.vault_transit', ({ data_encryption: { driver, vault_transit } }) => ({
    vault: vault_transit,
    needed: driver === 'vault_transit' ? 'data_encryption.driver vault_transit' : undefined,
  })),
];

function masterKeyFault(driver: Config['data_encryption']['driver'], ways: readonly unknown[]): Broken {
  const given = ways.filter((way) => way !== undefined).length;
  if (given > 1) {
    return { problem: 'must be the only one of key, key_file and key_command', hint: 'Keep one of them.' };
  }
  if (driver === 'aes_master' && given === 0) {
    return {
      problem: 'is needed with data_encryption.driver aes_master, or key_file, or key_command',
      hint: 'Set AUTHSERVER_DATA_ENCRYPTION_KEY to what `openssl rand -hex 32` prints, and keep a copy elsewhere.',
    };
  }
  if (driver === 'none' && given === 1) {
    return {
      problem: 'has no use while data_encryption.driver is none',
      hint: 'Set data_encryption.driver to aes_master, or leave the key out.',
    };
  }
  return undefined;
}

/** What holds for the settings of either transit key, once there is an address or need of one. */
function vaultRules(
  path: string,
  find: (config: Config) => { readonly vault: VaultTransit; readonly needed: string | undefined },
): Rule[] {
  const rule = (name: string, check: (vault: VaultTransit) => Broken): Rule => ({
    about: [`${path}.${name}`],
    check: (config) => {
      const { vault, needed } = find(config);
      return needed === undefined && vault.address === undefined ? undefined : check(vault);
    },
  });
  return [
    {
      about: [`${path}.address`],
      check: (config) => {
        const { vault, needed } = find(config);
        if (vault.address !== undefined) return addressFault(vault.address);
        if (needed === undefined) return undefined;
        return { problem: `is needed with ${needed}`, hint: 'Write it as https://vault.example.com:8200.' };
      },
    },
    rule('token', credentialFault),
    rule('tls.cert_file', ({ tls }) =>
      (tls.cert_file === undefined) === (tls.key_file === undefined)
        ? undefined
        : { problem: 'and key_file need each other', hint: 'Set both, or neither.' },
    ),
  ];
}

function addressFault(address: string): Broken {
  const hint = 'Write it as https://vault.example.com:8200, without a path.';
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    return { problem: 'must be an address that begins with https://', hint };
  }
  if (url.protocol === 'http:' && !staysOnThisMachine(url.hostname)) {
    return { problem: 'must be https, because its host is not this machine', hint };
  }
  if (url.username || url.password || url.search || url.hash || url.pathname !== '/') {
    return { problem: 'must hold nothing but scheme, host and port', hint };
  }
  return undefined;
}

function credentialFault({ token, token_file, approle }: VaultTransit): Broken {
  const { role_id, secret_id, secret_id_file } = approle;
  const byRole = role_id !== undefined || secret_id !== undefined || secret_id_file !== undefined;
  const ways = [token !== undefined, token_file !== undefined, byRole].filter(Boolean).length;
  if (ways === 0) {
    return {
      problem: 'is needed, or token_file, or approle',
      hint: 'Set a token, a file that holds one, or approle.role_id with approle.secret_id_file.',
    };
  }
  if (ways > 1) {
    return { problem: 'must be the only one of token, token_file and approle', hint: 'Keep one of them.' };
  }
  if (byRole && (role_id === undefined || (secret_id === undefined) === (secret_id_file === undefined))) {
    return {
      problem: 'is absent, so approle needs its role_id and either secret_id or secret_id_file',
      hint: 'Set approle.role_id and approle.secret_id_file.',
    };
  }
  return undefined;
}
