/**
 * Servers of one deployment vouch for each other: each signs backups with a key of its own, and the recovery sheet names
 * the one that was there when it was printed.
 */
import { endorse, trustFrom } from '../../archive/endorsement.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { BackupDesk } from './desk.ts';
import { RecoveryKeyRecords } from './recovery-key.ts';

type Parts = Pick<BackupDesk, 'store' | 'clock' | 'log' | 'identity' | 'places'>;

/**
 * Leaves a note on every target for each signer that the database knows and this one has not vouched for there.
 * @returns whether the first signer, which the first sheet names, leads to this one
 * Failures: `unavailable`, `configuration`, `refused` where nothing can be signed yet.
 */
export async function endorseOthers(desk: Parts, signal: AbortSignal): Promise<boolean> {
  const { signers } = await new RecoveryKeyRecords({
    settings: desk.store.settings,
    clock: desk.clock,
  }).state();
  const [first] = signers;
  // One server, which is the rule: nothing is asked of any target.
  if (first === undefined || signers.length === 1) return true;
  const { signer, deploymentId } = await desk.identity();
  let isKnown = false;
  for (const { target, shelf } of await desk.places()) {
    const reading = { deploymentId, signal };
    try {
      // What this one has said leads to all that need no note any more.
      const vouched = await trustFrom(shelf, [signer.publicKey], reading);
      for (const publicKey of signers.filter((each) => !vouched.includes(each)))
        await endorse(shelf, { deploymentId, publicKey, at: desk.clock.now() }, signer);
      isKnown ||= (await trustFrom(shelf, [first], reading)).includes(signer.publicKey);
    } catch (error) {
      const { code, message } = asFailure(error);
      if (code === 'interrupted' || code === 'internal') throw error;
      desk.log.warn(
        { target: target.name, detail: message },
        'the servers that sign backups could not be vouched for',
      );
    }
  }
  return isKnown;
}
