import { Failure } from '../../kernel/errors.ts';
import type { MasterKey } from '../sealing/master-key.ts';
import type { VaultClient } from './client.ts';
import type { TransitKey } from './transit-key.ts';
import { pathOf } from './transit-key.ts';

/** A master key that never leaves Vault: data keys are sent there to be wrapped and unwrapped. */
export function vaultMasterKey(client: VaultClient, key: TransitKey, source: string): MasterKey {
  const crypt = async (verb: 'encrypt' | 'decrypt', body: object, member: string): Promise<string> => {
    const answer = await client.call('POST', pathOf(key, verb), body);
    const data = (answer.body as { data?: Record<string, unknown> } | undefined)?.data;
    const text = data?.[member];
    if (typeof text === 'string') return text;
    throw new Failure(
      'configuration',
      `Vault at ${client.address} has no transit key ${key.mount}/${key.name}.`,
      {
        hint: `Make it: \`bao write -f ${key.mount}/keys/${key.name}\`, or restore the one that the data keys are wrapped by.`,
      },
    );
  };
  return {
    id: `vault:${key.mount}/${key.name}`,
    source,
    versioned: true,
    secret: undefined,
    wrap: (dataKey) => crypt('encrypt', { plaintext: dataKey.toString('base64') }, 'ciphertext'),
    unwrap: async (wrapped) =>
      Buffer.from(await crypt('decrypt', { ciphertext: wrapped }, 'plaintext'), 'base64'),
  };
}
