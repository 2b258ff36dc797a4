/**
 * A row of a backup without what was taken away since, in the order in which it was taken. Nothing is given that the row did
 * not hold: `enabled` only takes back a `disabled` that came after the backup too.
 */
import type {
  ClientRecord,
  ClientSecretRecord,
  PasswordRecord,
  ResourceRecord,
  Revocation,
  UserRecord,
} from '../records.ts';
import type { FormerClient, FormerUser, HeldBack } from '../store.ts';
import { type Narrowing, narrowed } from './client-narrowing.ts';
import { withoutScopes } from './resources.ts';

export interface Held<Former> {
  readonly former: Former;
  /** What took something away, each once. */
  readonly held: readonly HeldBack[];
}

export function heldUser(
  { user, password }: FormerUser,
  revocations: readonly Revocation[],
): Held<FormerUser> {
  let kept: PasswordRecord | null = password;
  const held: Revocation[] = [];
  for (const revocation of revocations) {
    if (revocation.kind !== 'password_changed' || kept === null) continue;
    kept = null;
    held.push(revocation);
  }
  const { row, by } = heldStatus<UserRecord>(user, revocations, ['user_disabled', 'user_enabled']);
  return { former: { user: row, password: kept }, held: reasons([...held, ...by]) };
}

/** @param now secrets that have run out by then are left out */
export function heldClient(
  { client, secrets }: FormerClient,
  revocations: readonly Revocation[],
  now: number,
): Held<FormerClient> {
  let metadata = client;
  let left = secrets;
  const held: Revocation[] = [];
  for (const revocation of revocations) {
    const detail = JSON.parse(revocation.detail_json) as object;
    if (revocation.kind === 'client_narrowed') {
      const next = narrowed(metadata, detail as Narrowing);
      if (JSON.stringify(next) !== JSON.stringify(metadata)) held.push(revocation);
      metadata = next;
    }
    if (revocation.kind === 'client_secret_rotated') {
      const { former_expire_at: end = revocation.at } = detail as { former_expire_at?: number };
      const next = left.map((secret) => endedBy(secret, revocation.at, end));
      if (next.some((secret, index) => secret !== left[index])) held.push(revocation);
      left = next;
    }
  }
  const status = heldStatus<ClientRecord>(metadata, revocations, ['client_disabled', 'client_enabled']);
  return {
    former: {
      client: status.row,
      secrets: left.filter(({ expires_at }) => expires_at === null || expires_at > now),
    },
    held: reasons([...held, ...status.by]),
  };
}

export function heldResource(
  resource: ResourceRecord,
  revocations: readonly Revocation[],
): Held<ResourceRecord> {
  let former = resource;
  const held: Revocation[] = [];
  for (const revocation of revocations) {
    const { scopes = [] } = JSON.parse(revocation.detail_json) as { scopes?: string[] };
    const next = withoutScopes(former, scopes);
    if (next.scopes_json !== former.scopes_json) held.push(revocation);
    former = next;
  }
  return { former, held: reasons(held) };
}

type Party = Pick<UserRecord, 'status' | 'updated_at'>;

function heldStatus<Row extends Party>(
  row: Row,
  revocations: readonly Revocation[],
  [disabled, enabled]: readonly [Revocation['kind'], Revocation['kind']],
): { readonly row: Row; readonly by: readonly Revocation[] } {
  if (row.status === 'disabled') return { row, by: [] };
  const last = revocations.findLast(({ kind }) => kind === disabled || kind === enabled);
  if (last?.kind !== disabled) return { row, by: [] };
  return { row: { ...row, status: 'disabled', updated_at: last.at }, by: [last] };
}

function endedBy(secret: ClientSecretRecord, at: number, end: number): ClientSecretRecord {
  const isFormer = secret.created_at <= at && (secret.expires_at === null || secret.expires_at > end);
  return isFormer ? { ...secret, expires_at: end } : secret;
}

function reasons(revocations: readonly Revocation[]): readonly HeldBack[] {
  return revocations.map(({ kind, at }) => ({ kind, at }));
}
