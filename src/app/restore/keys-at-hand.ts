/** What opens a backup and whom to believe, out of the options, the settings and the recovery sheet. */
import type { Identities } from '../../archive/age.ts';
import type { Trust } from '../../archive/signature.ts';
import type { KnownSigners } from '../../ops/backup/recovery-key.ts';
import { withEndorsed } from '../backup/endorsed.ts';
import { passphraseIn } from '../backup/identity.ts';
import { readSheetIn } from '../backup/recovery-sheet.ts';
import { readSigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';

export interface KeyRequest {
  /** A recovery sheet, or a plain age identity file. */
  readonly recoveryKeyFile: string | undefined;
  readonly passphraseFile: string | undefined;
  /** Public signing keys that somebody vouches for. */
  readonly trust: readonly string[];
}

export interface KeysAtHand extends Required<Identities> {
  readonly trust: Trust;
  /** Who is not believed, but for those whom the request names. */
  readonly distrusted: Trust;
  /** The deployment that the recovery sheet is of. */
  readonly deploymentId: string | undefined;
}

/**
 * Failures: `invalid_input` for a sheet that is none or cannot be read, `configuration` for a passphrase.
 * @param known by the database that is there; who was taken out is believed only when the request names them
 */
export async function keysAtHand(
  config: Config,
  request: KeyRequest,
  known: KnownSigners,
): Promise<KeysAtHand> {
  const { recoveryKeyFile, passphraseFile } = request;
  const sheet = recoveryKeyFile === undefined ? undefined : await readSheetIn(recoveryKeyFile);
  const { passphrase, passphrase_file, trusted_signers } = config.backup;
  const passphrases = [await passphraseIn(passphraseFile), passphrase, await passphraseIn(passphrase_file)];
  const own = ownSigner(config.state_dir);
  const trust = [...request.trust, ...(sheet?.signers ?? []), ...trusted_signers, ...own, ...known.signers];
  const distrusted = known.distrusted.filter((key) => !request.trust.includes(key));
  return {
    identities: sheet?.identities ?? [],
    passphrases: passphrases.filter((one) => one !== undefined),
    trust: await withEndorsed(config, { trust, distrusted }, sheet?.deploymentId),
    distrusted,
    deploymentId: sheet?.deploymentId,
  };
}

/** Whether something is at hand that may open the recovery log. */
export function opensLog(
  { backup }: Pick<Config, 'backup'>,
  { identities, passphrases }: Required<Identities>,
): boolean {
  return backup.plaintext || identities.length > 0 || passphrases.length > 0;
}

/** Nobody but this server writes there; one that cannot be read signs nothing, and is no reason to restore nothing. */
function ownSigner(stateDir: string): Trust {
  try {
    const key = readSigningKey(stateDir);
    return key ? [key.publicKey] : [];
  } catch {
    return [];
  }
}
