/** Who the backups of this deployment are for and who vouches for them, out of the settings, the database and the disk. */
import { readFile } from 'node:fs/promises';
import type { Encryption } from '../../archive/age.ts';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Random } from '../../kernel/random.ts';
import type { BackupIdentity } from '../../ops/backup/identity.ts';
import { type KnownSigners, RecoveryKeyRecords } from '../../ops/backup/recovery-key.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { writeRecoverySheet } from './recovery-sheet.ts';
import { openSigningKey, type SigningKey } from './signing-key.ts';

export interface OpenedIdentity extends BackupIdentity {
  readonly signer: SigningKey;
}

type Stores = Pick<Store, 'settings' | 'deployment'>;

/**
 * Makes the signing key where there is none yet.
 * Failures: `refused` while there is neither a recovery key nor anything else to encrypt to, `configuration`, `unavailable`.
 */
export async function openBackupIdentity(
  config: Config,
  store: Stores,
  random: Random,
  clock: Clock = systemClock,
): Promise<OpenedIdentity> {
  const { id } = await store.deployment.get({});
  const records = new RecoveryKeyRecords({ settings: store.settings, clock });
  const signer = openSigningKey(config.state_dir, random);
  const known = await records.trust(signer.publicKey);
  const encryption = await chosenEncryption(config, store);
  if (!encryption) {
    throw new Failure('refused', 'There is no recovery key yet that a backup could be encrypted to.', {
      hint: 'Start the server once (`authserver serve`), or make the key now: `authserver backup key replace`.',
    });
  }
  return {
    deploymentId: id,
    encryption,
    signer,
    trust: believed(config, known),
  };
}

/** Whose signatures are believed, for whoever only reads. */
export async function backupTrust(
  config: Config,
  store: Pick<Store, 'settings'>,
): Promise<readonly string[]> {
  const records = new RecoveryKeyRecords({ settings: store.settings, clock: systemClock });
  return believed(config, await records.state());
}

/** Who was taken out stays out, also where the settings still name them. */
function believed({ backup }: Config, { signers, distrusted }: KnownSigners): readonly string[] {
  return [...new Set([...signers, ...backup.trusted_signers])].filter((each) => !distrusted.includes(each));
}

/** How backups are encrypted; undefined while there is nobody whom one could be for. Failures: `configuration`. */
export async function chosenEncryption(
  { backup }: Config,
  { settings }: Pick<Store, 'settings'>,
): Promise<Encryption | undefined> {
  if (backup.plaintext) return { kind: 'none' };
  const passphrase = backup.passphrase ?? (await passphraseIn(backup.passphrase_file));
  if (passphrase !== undefined) return { kind: 'passphrase', passphrase };
  const { recipient } = await new RecoveryKeyRecords({ settings, clock: systemClock }).state();
  const recipients = [...new Set([...(recipient === undefined ? [] : [recipient]), ...backup.recipients])];
  return recipients.length > 0 ? { kind: 'age', recipients } : undefined;
}

/** The passphrase in a file, without its last line break. Failures: `configuration`. */
export async function passphraseIn(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Failure('configuration', `Cannot read ${file} (${code}).`, {
      hint: 'See whether the file is there and the user of this server may read it.',
      cause,
    });
  });
  const passphrase = text.replace(/\r?\n$/, '');
  if (passphrase.length >= SHORTEST_PASSPHRASE) return passphrase;
  throw new Failure(
    'configuration',
    `The passphrase in ${file} has fewer than ${SHORTEST_PASSPHRASE} characters.`,
    {
      hint: 'Take six words by chance.',
    },
  );
}

const SHORTEST_PASSPHRASE = 16;

/**
 * The recovery sheet of a key that is made now because there was none; undefined where there is one, which nobody can be
 * shown again, or where the settings encrypt without it.
 */
export async function makeFirstRecoveryKey(
  config: Config,
  store: Stores,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Promise<{ readonly identity: string; readonly sheet: string } | undefined> {
  const { passphrase, passphrase_file, plaintext } = config.backup;
  if (plaintext || passphrase !== undefined || passphrase_file !== undefined) return undefined;
  const records = new RecoveryKeyRecords({ settings: store.settings, clock });
  // Asked first, because a read is all that most starts need.
  if ((await records.state()).recipient !== undefined) return undefined;
  const identity = makeIdentity(random);
  if (!(await records.keepFirst(recipientOf(identity)))) return undefined;
  const { signers } = await records.trust(openSigningKey(config.state_dir, random).publicKey);
  const { id } = await store.deployment.get({});
  const sheet = writeRecoverySheet({
    deploymentId: id,
    signers,
    recipient: recipientOf(identity),
    identity,
    madeAt: clock.now(),
  });
  return { identity, sheet };
}
