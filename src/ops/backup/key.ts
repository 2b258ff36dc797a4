/** The verbs about the recovery key. Only its public half ever comes here. */
import { withdrawEndorsements } from '../../archive/endorsement.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { BackupCaller, BackupDesk } from './desk.ts';
import { RecoveryKeyRecords } from './recovery-key.ts';

export interface KeyReport {
  readonly deployment: string;
  /** The public half of the recovery key; null where there is none. */
  readonly recipient: string | null;
  /** ms, when its holder showed it; null where nobody has. */
  readonly confirmed_at: number | null;
  /** How a backup that is made now is encrypted, and what else opens it. */
  readonly encryption: 'age' | 'passphrase' | 'none' | null;
  readonly recipients: readonly string[];
  /** Public keys whose signatures on backups count. */
  readonly signers: readonly string[];
  /** Those that were taken out. */
  readonly distrusted: readonly string[];
}

export async function showKey(desk: BackupDesk): Promise<KeyReport> {
  await needSigner(desk);
  const { recipient, confirmedAt, distrusted } = await records(desk).state();
  const { id } = await desk.store.deployment.get({});
  const encryption = await desk.encryption();
  return {
    deployment: id,
    recipient: recipient ?? null,
    confirmed_at: confirmedAt ?? null,
    encryption: encryption?.kind ?? null,
    recipients: encryption?.kind === 'age' ? encryption.recipients : [],
    signers: await desk.trust(),
    distrusted,
  };
}

/** Failures: `refused` when it is the public half of another key. @param recipient of the key that somebody has shown */
export async function confirmKey(
  desk: BackupDesk,
  recipient: string,
  caller: BackupCaller,
): Promise<KeyReport> {
  await records(desk).confirm(recipient);
  await desk.audit.record({ action: 'backup.key_confirmed', ...caller, detail: { recipient } });
  return showKey(desk);
}

/** From now on backups are for another key, which its holder has already; what was made so far stays for the former one. */
export async function replaceKey(
  desk: BackupDesk,
  recipient: string,
  caller: BackupCaller,
): Promise<KeyReport> {
  // Who signs is on the sheet too, so that there has to be somebody.
  const kept = records(desk);
  const former = await kept.replace(recipient);
  await desk.identity();
  await desk.audit.record({
    action: 'backup.key_replaced',
    ...caller,
    detail: { recipient, former: former ?? null },
  });
  return showKey(desk);
}

/**
 * From now on no signature of this key counts, nor does a backup that it has signed: its machine was stolen, say.
 * Failures: `not_found` for a key that never counted, `refused` for the one that signs here, `failed` when a target still
 * holds notes that vouch for it.
 * @param signer a public signing key
 */
export async function distrustSigner(
  desk: BackupDesk,
  signer: string,
  caller: BackupCaller,
): Promise<KeyReport> {
  const kept = records(desk);
  const known = [...(await desk.trust()), ...(await kept.state()).distrusted];
  if (!known.includes(signer)) {
    throw new Failure('not_found', `Nobody signs backups with the key ${signer}.`, {
      hint: '`authserver backup key show` names those who do.',
    });
  }
  if ((await desk.identity()).signer.publicKey === signer) throw own();
  await kept.distrust(signer);
  await desk.audit.record({ action: 'backup.signer_distrusted', ...caller, detail: { signer } });
  const left: string[] = [];
  for (const { target, shelf } of await desk.places()) {
    await withdrawEndorsements(shelf, signer).catch((error: unknown) =>
      left.push(`${target.name}: ${asFailure(error).message}`),
    );
  }
  if (left.length === 0) return showKey(desk);
  throw new Failure(
    'failed',
    `It counts no more for this deployment; but notes that vouch for it could not be removed. ${left.join(' ')}`,
    {
      hint: `To whoever has a recovery sheet they still lead. Run the command again when the target answers, or remove signer.${signer}.* there.`,
    },
  );
}

function own(): Failure {
  return new Failure('refused', 'That is the key that signs backups here.', {
    hint: 'Run the command on another server. If there is none: stop this one, move backup-signing.pem out of its state directory, start it, which makes another key, and run the command again.',
  });
}

/** A sheet names who signs, so that there has to be somebody; where there is, a look makes nobody sign. */
async function needSigner(desk: BackupDesk): Promise<void> {
  if ((await records(desk).state()).signers.length > 0) return;
  await desk.identity().catch((error: unknown) => {
    if (asFailure(error).code !== 'refused') throw error;
  });
}

function records({ store, clock }: BackupDesk): RecoveryKeyRecords {
  return new RecoveryKeyRecords({ settings: store.settings, clock });
}
