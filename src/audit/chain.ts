import { CHAIN_START, chainHash } from '../store/audit-chain.ts';
import type { AuditEventRecord } from '../store/records.ts';
import type { AuditLink } from '../store/store.ts';

export type ChainLink = AuditLink;

/** Before the first event. */
export const BEFORE_THE_FIRST: ChainLink = { sequence: 0, hash: CHAIN_START };

export type ChainReport =
  /** `last` is where to go on with the next page, and what to keep elsewhere to notice a chain that was cut short. */
  | { readonly intact: true; readonly last: ChainLink }
  /** `sequence` is the first event that is not as it was written: altered, or not where it belongs. */
  | {
      readonly intact: false;
      readonly sequence: number;
      readonly fault: 'changed' | 'removed' | 'out_of_order';
    };

/**
 * Checks events in chain order, from the one after `from`; where old events have been purged, the store's `audit.beginning`
 * is the one place where a chain may begin instead of at its first event. Finds any that was changed, removed from the middle or moved.
 * That the newest events were removed, or all hashes made anew, shows only against a `last` link kept elsewhere.
 */
export function verifyChain(
  events: Iterable<AuditEventRecord>,
  from: ChainLink = BEFORE_THE_FIRST,
): ChainReport {
  let last = from;
  for (const event of events) {
    const expected = last.sequence + 1;
    if (event.sequence > expected) return { intact: false, sequence: expected, fault: 'removed' };
    if (event.sequence < expected) return { intact: false, sequence: event.sequence, fault: 'out_of_order' };
    if (event.hash !== chainHash(event)) return { intact: false, sequence: expected, fault: 'changed' };
    if (event.previous_hash !== last.hash) return { intact: false, sequence: expected, fault: 'changed' };
    last = { sequence: event.sequence, hash: event.hash };
  }
  return { intact: true, last };
}
