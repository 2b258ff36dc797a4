import { sha256 } from '../kernel/bytes.ts';
import type { AuditEventRecord } from './records.ts';

/** What the first event's `previous_hash` holds. */
export const CHAIN_START = '';

/**
 * The hash of an audit event, base64url SHA-256 of a JSON array of its values in the order below. It covers the hash of the
 * event before, so that changing, removing or moving an event breaks every hash after it. The order and the set of columns
 * are part of the stored data: never change them, or old chains no longer verify.
 */
export function chainHash(event: Omit<AuditEventRecord, 'hash'>): string {
  const values = [
    event.previous_hash,
    event.sequence,
    event.at,
    event.action,
    event.actor,
    event.client_id,
    event.user_id,
    event.ip,
    event.detail_json,
  ];
  return sha256(JSON.stringify(values));
}
