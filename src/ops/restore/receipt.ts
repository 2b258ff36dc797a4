/** What a restore leaves on paper: what was brought back, what was lost, what was done about it. */
import { type Signer, signLine, toLine } from '../../archive/signature.ts';
import type { AftercareReport } from './aftercare.ts';
import type { SessionFate } from './plan.ts';

/** Times are ms. */
export interface RestoreReceipt {
  readonly type: 'authserver.restore-receipt';
  readonly format: 1;
  readonly id: string;
  readonly verb: 'restore' | 'undo';
  readonly at: number;
  /** Who asked: `admin:operator`. */
  readonly actor: string;
  readonly program: string;
  readonly deployment_id: string;
  /** The backup, or the restore that was undone. */
  readonly from: string;
  /** The state is that of this moment. */
  readonly restored_to: number;
  /** What happened from then on is lost; null where nothing is. */
  readonly lost: { readonly from: number; readonly to: number } | null;
  readonly sessions: SessionFate;
  /** What the state before is called now; null where there was none. */
  readonly kept_as: string | null;
  readonly aftercare: AftercareReport;
  /** What has to be done before the server can start; null where that is nothing. */
  readonly before_start: string | null;
  readonly notes: readonly string[];
}

/** The receipt as a signed line; without a signer only the line. */
export async function signReceipt(receipt: RestoreReceipt, signer: Signer | undefined): Promise<string> {
  const bytes = signer ? await signLine(signer, receipt) : toLine(receipt);
  return bytes.toString();
}

/** The same for people. */
export function receiptText(receipt: RestoreReceipt): string {
  const { verb, from, lost, kept_as, aftercare, sessions } = receipt;
  const shown = (time: number) => new Date(time).toISOString();
  const lines = [
    verb === 'restore' ? `Restored from backup ${from}.` : `Undone: restore ${from}.`,
    `Receipt:       ${receipt.id}`,
    `Deployment:    ${receipt.deployment_id}`,
    `Done at:       ${shown(receipt.at)} by ${receipt.actor}, authserver ${receipt.program}`,
    `State of:      ${shown(receipt.restored_to)}`,
    `Lost:          ${lost ? `what happened from ${shown(lost.from)} to ${shown(lost.to)}` : 'nothing'}`,
    `Before:        ${kept_as ?? 'there was nothing'}`,
    `Sessions:      ${sessions === 'keep' ? 'kept' : `ended (${aftercare.ended_sessions})`}`,
    `Restore epoch: ${aftercare.epoch}`,
    ...aftercareLines(aftercare),
    ...receipt.notes.map((note) => `Note: ${note}`),
    ...(receipt.before_start === null ? [] : [`Before the start: ${receipt.before_start}.`]),
  ];
  return `${lines.join('\n')}\n`;
}

function aftercareLines(aftercare: AftercareReport): string[] {
  const { replayed, voided, revoked_families, notes } = aftercare;
  const { passwords_to_reset, secrets_to_reset, keys_to_reset } = aftercare;
  const counts = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  return [
    `Taken away again: ${counts(replayed)}`,
    `Made void:        ${counts(voided)}; token families ${revoked_families}`,
    ...(passwords_to_reset.length > 0
      ? [`Passwords to reset (changed since): ${passwords_to_reset.join(', ')}`]
      : []),
    ...(secrets_to_reset.length > 0
      ? [`Client secrets to replace (changed since): ${secrets_to_reset.join(', ')}`]
      : []),
    ...(keys_to_reset.length > 0
      ? [`Client keys to replace (changed since): ${keys_to_reset.join(', ')}`]
      : []),
    ...notes.map((note) => `Note: ${note}`),
  ];
}
