import type { Log } from '../../kernel/log.ts';
import { VaultClient } from './client.ts';
import { type VaultAuth, vaultToken } from './token.ts';
import { makeTransport, type VaultConnection } from './transport.ts';

/** Connects nowhere yet: the first call does. */
export function openVault(connection: VaultConnection, auth: VaultAuth, log: Log): VaultClient {
  const transport = makeTransport(connection);
  return new VaultClient(connection, transport, vaultToken(auth, { connection, transport, log }));
}
