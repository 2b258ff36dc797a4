/** The verbs about the recovery key. Only its public half ever comes here. */
import { Failure } from '../../kernel/errors.ts';
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
}

export async function showKey(desk: BackupDesk): Promise<KeyReport> {
  const { recipient, confirmedAt } = await records(desk).state();
  const { id } = await desk.store.deployment.get({});
  const encryption = await encryptionOf(desk);
  return {
    deployment: id,
    recipient: recipient ?? null,
    confirmed_at: confirmedAt ?? null,
    encryption: encryption?.kind ?? null,
    recipients: encryption?.kind === 'age' ? encryption.recipients : [],
    signers: await desk.trust(),
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

/** Undefined before there is anything to encrypt to. */
async function encryptionOf(desk: BackupDesk) {
  try {
    return (await desk.identity()).encryption;
  } catch (error) {
    if (error instanceof Failure && error.code === 'refused') return undefined;
    throw error;
  }
}

function records({ store, clock }: BackupDesk): RecoveryKeyRecords {
  return new RecoveryKeyRecords({ settings: store.settings, clock });
}
