/** Whether the audit trail is as it was written. */
import type { Facts } from './facts.ts';
import { failing, type Verdict, verdict, warning } from './finding.ts';

const FAULTS = {
  changed: 'was changed after it was written',
  removed: 'is missing',
  out_of_order: 'is not where it belongs',
};

export function judgeAudit({ audit: { events, fault, unread } }: Pick<Facts, 'audit'>): Verdict {
  return verdict(`the chain of ${events} audit events is whole`, [
    fault === undefined
      ? undefined
      : failing(
          `audit event ${fault.sequence} ${FAULTS[fault.kind]}; ${events} before it are whole`,
          'Somebody has changed the database from outside, or it is damaged. Keep a copy of it as it is, and compare with a backup: `authserver backup diff --help`.',
        ),
    unread
      ? warning(
          `only the first ${events} audit events were read`,
          'Read them all: `authserver doctor --only audit-chain --deep`',
        )
      : undefined,
  ]);
}
