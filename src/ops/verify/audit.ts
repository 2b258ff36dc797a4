/** Whether the audit chain that came with the backup is whole, and ends where the manifest says. */
import { verifyChain } from '../../audit/chain.ts';
import type { AuditLink, AuditStore } from '../../store/store.ts';
import type { Findings } from './proof.ts';

/** So few that checking them keeps nobody waiting. */
const PAGE = 100;

const FAULTS = {
  changed: 'was changed',
  removed: 'is missing',
  out_of_order: 'is out of its order',
};

/** @param end what the manifest says; `pause` is called between pages, and throws when the work is to stop */
export async function checkAudit(
  store: Pick<AuditStore, 'list' | 'beginning'>,
  { end, pause }: { readonly end: AuditLink; readonly pause: () => Promise<void> },
  findings: Findings,
): Promise<void> {
  let last = await store.beginning({});
  for (;;) {
    await pause();
    const events = await store.list({ after: last.sequence, limit: PAGE });
    if (events.length === 0) break;
    const report = verifyChain(events, last);
    if (!report.intact) {
      findings.add(`The audit event ${report.sequence} ${FAULTS[report.fault]}.`);
      return;
    }
    last = report.last;
  }
  if (last.sequence !== end.sequence || last.hash !== end.hash)
    findings.add(`The audit chain ends with event ${last.sequence} instead of ${end.sequence}.`);
}
