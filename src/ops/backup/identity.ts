import type { Encryption } from '../../archive/age.ts';
import type { Signer, Trust } from '../../archive/signature.ts';

/** Whose backups these are, who can open them, and whose signature counts. */
export interface BackupIdentity {
  readonly deploymentId: string;
  readonly encryption: Encryption;
  readonly signer: Signer;
  readonly trust: Trust;
}
