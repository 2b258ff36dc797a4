import { sha256 } from '../kernel/bytes.ts';
import type { Revocation } from './records.ts';

const ID = /^(\d{6})\.(\d{12})\.[0-9a-f]{12}$/;

/** The setting that holds the number of the last revocation; there is none before the first. */
export const LAST_REVOCATION = 'revocations.head';

/**
 * `epoch.number.digest`, of one length, so that both engines and everybody else sort them alike. Where two restores of one
 * backup go on with the same numbers, what happened keeps the ids apart.
 */
export function revocationId(epoch: number, number: number, happened: Omit<Revocation, 'id'>): string {
  const { at, kind, user_id, client_id, subject, detail_json } = happened;
  const text = JSON.stringify([at, kind, user_id, client_id, subject, detail_json]);
  const digest = Buffer.from(sha256(text), 'base64url').toString('hex');
  return `${String(epoch).padStart(6, '0')}.${String(number).padStart(12, '0')}.${digest.slice(0, 12)}`;
}

/** The restore epoch in which a revocation was written, and its number; undefined for what is no id of one. */
export function readRevocationId(
  id: string,
): { readonly epoch: number; readonly number: number } | undefined {
  const [, epoch, number] = ID.exec(id) ?? [];
  return epoch === undefined ? undefined : { epoch: Number(epoch), number: Number(number) };
}
