/** The audit trail and the newest moments in the database. */
import { type ChainReport, verifyChain } from '../../audit/chain.ts';
import type { AuditFacts, ClockFacts } from '../../ops/doctor/facts.ts';
import type { Onlooker } from '../../store/onlooker.ts';
import { AUDIT_HEAD, readLink } from '../../store/sql/audit.ts';
import type { AuditLink } from '../../store/store.ts';

const PAGE = 1000;
/** Some seconds of work. */
const MOST = 500_000;
/** A purge may take old events away under the reader; not so often. */
const TRIES = 3;

/** Reads the chain from where it begins to its end. @param deep however long it is */
export async function gatherAudit(onlooker: Onlooker, deep: boolean): Promise<AuditFacts> {
  const { audit } = onlooker.store;
  for (let tried = 1; ; tried++) {
    const beginning = await audit.beginning({});
    const facts = await walk(onlooker, beginning, deep ? Number.POSITIVE_INFINITY : MOST);
    const isMoved = (await audit.beginning({})).sequence !== beginning.sequence;
    if (facts.fault === undefined || !isMoved || tried === TRIES) return facts;
  }
}

async function walk(onlooker: Onlooker, beginning: AuditLink, most: number): Promise<AuditFacts> {
  // Asked first: what is appended meanwhile comes after it.
  const end = await endOfChain(onlooker);
  let last = beginning;
  let events = 0;
  for (;;) {
    const page = await onlooker.store.audit.list({ after: last.sequence, limit: PAGE });
    if (page.length === 0) break;
    const report: ChainReport = verifyChain(page, last);
    if (!report.intact) {
      const { sequence, fault: kind } = report;
      return { events: sequence - beginning.sequence - 1, fault: { sequence, kind }, unread: false };
    }
    events += page.length;
    last = report.last;
    if (events >= most) return { events, fault: undefined, unread: true };
  }
  return { events, fault: brokenEnd(last, end), unread: false };
}

/** The newest events are missing where the chain ends before the link that was kept apart from it. */
function brokenEnd(last: AuditLink, end: AuditLink): AuditFacts['fault'] {
  if (last.sequence < end.sequence) return { sequence: last.sequence + 1, kind: 'removed' };
  const isOther = last.sequence === end.sequence && last.hash !== end.hash;
  return isOther ? { sequence: last.sequence, kind: 'changed' } : undefined;
}

async function endOfChain({ store }: Onlooker): Promise<AuditLink> {
  return readLink(await store.settings.get({ name: AUDIT_HEAD }));
}

const MOMENTS: readonly { readonly what: string; readonly sql: string }[] = [
  { what: 'the newest audit event', sql: 'select max(at) as at from audit_events' },
  { what: 'the newest signing key', sql: 'select max(created_at) as at from signing_keys' },
  { what: 'the newest session', sql: 'select max(created_at) as at from sessions' },
  { what: 'the newest schema step', sql: 'select max(applied_at) as at from schema_migrations' },
];

export async function gatherMoments(onlooker: Onlooker): Promise<ClockFacts['known']> {
  const known: { what: string; at: number }[] = [];
  for (const { what, sql } of MOMENTS) {
    const [row] = await onlooker.all(sql);
    const at = row?.['at'];
    if (at !== null && at !== undefined) known.push({ what, at: Number(at) });
  }
  return known;
}
