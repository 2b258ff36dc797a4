import { signPin } from '../../archive/catalog.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { findBackup } from './catalog.ts';
import type { BackupCaller, BackupDesk } from './desk.ts';

export interface PinRequest {
  readonly id: string;
  readonly pinned: boolean;
  readonly reason: string;
}

export interface PinReport {
  readonly id: string;
  readonly pinned: boolean;
  readonly reason: string;
  readonly targets: readonly string[];
}

/**
 * Keeps a backup whatever the rules say, or no longer, on every target that has it.
 * Failures: `not_found`; `failed` when a target could not be told, naming it.
 */
export async function pinBackup(
  desk: BackupDesk,
  { id, pinned, reason }: PinRequest,
  caller: BackupCaller,
): Promise<PinReport> {
  const { signer, trust } = await desk.identity();
  const { copies, silent } = await findBackup(await desk.places(), trust, id);
  if (!copies.some(({ entry }) => entry.record)) {
    throw new Failure(
      'refused',
      `The record of backup ${id} cannot be believed: ${copies[0]?.entry.faults.join('; ')}.`,
      {
        hint: 'Only backups with a record that is signed by a trusted key can be pinned.',
      },
    );
  }
  const signed = await signPin({ id, pinned, at: desk.clock.now(), reason }, signer);
  const targets: string[] = [];
  const failed = [...silent];
  for (const { place } of copies) {
    const { name } = place.target;
    await place.target.mark(id, 'pinned', signed).then(
      () => targets.push(name),
      (error: unknown) => failed.push(`${name}: ${asFailure(error).message}`),
    );
  }
  const detail = { id, targets, ...(reason !== '' && { reason }) };
  await desk.audit.record({ action: pinned ? 'backup.pinned' : 'backup.unpinned', ...caller, detail });
  if (failed.length === 0) return { id, pinned, reason, targets };
  throw new Failure('failed', `Not every target knows of it: ${failed.join(' ')}`, {
    hint: 'Run the command again when they answer.',
  });
}
