/** The aggregates of what is taken away, and of what a restore or a thing put back has to do about it. */
import type { Page } from './page.ts';
import type {
  ClientRecord,
  ClientSecretRecord,
  ConsentRecord,
  PasswordRecord,
  ResourceRecord,
  Revocation,
  RevocationKind,
  UserRecord,
} from './records.ts';

/** Access that was taken away: every verb that takes some away writes a row of these in its own unit of work. */
export interface RevocationStore {
  /** In the order in which they were written, those after an id; who goes on after the last one misses none. */
  list(input: Page): Promise<Revocation[]>;
  /** Keeps revocations that happened elsewhere, for a restore to replay; those that are here already stay as they are. */
  receive(input: { revocations: readonly Revocation[]; restored_at: number }): Promise<{ received: number }>;
  /** Those that a restore has received and not replayed yet. */
  listReceived(input: Page & { restored_at: number }): Promise<Revocation[]>;
  /** How many a restore has replayed, by kind. */
  countReplayed(input: { restored_at: number }): Promise<{ kind: RevocationKind; count: number }[]>;
}

/** Takes away once more what a received revocation took, and only that; done again it changes nothing. */
export type TakeAwayStore = {
  readonly [Kind in RevocationKind]: (input: TakeAway) => Promise<void>;
};

export interface TakeAway {
  readonly revocation: Revocation;
  /** The restore that received it. */
  readonly restored_at: number;
  readonly now: number;
}

/** What makes a restored database, which serves nobody yet, safe to serve. */
export interface AftercareStore {
  /**
   * Begins a restore epoch, `least_epoch` or a later one, and keeps when (`restore.at`). A restore, which is known by its
   * time, begins one epoch however often it asks.
   */
  begin(input: { now: number; least_epoch: number }): Promise<{ epoch: number }>;
  /** Moves the restore epoch on to this one, where it is not there yet. */
  raiseEpoch(input: { least_epoch: number }): Promise<{ epoch: number }>;
  /** Takes away what works once and may have been used since, and leases, whose holders are gone. Rows by table. */
  voidOnce(input: Record<string, never>): Promise<Record<string, number>>;
  /** Ends the live sessions among `limit` that follow an id; go on after `next` until that is null. */
  endSessions(input: Page & { now: number }): Promise<{ changed: number; next: string | null }>;
  /** Revokes the live token families among `limit` that follow an id; go on after `next` until that is null. */
  revokeFamilies(input: Page & { now: number }): Promise<{ changed: number; next: string | null }>;
  /** Where no key is active, the pending one is from now on; null when nothing changed. */
  promoteKey(input: { now: number }): Promise<{ kid: string | null }>;
  /** Active users without a password because the restore replayed its change, in id order. */
  listWithoutPassword(input: { restored_at: number; limit: number }): Promise<string[]>;
  /** Active clients that need a lasting secret and have none because the restore replayed its end, in id order. */
  listWithoutSecret(input: { restored_at: number; limit: number }): Promise<string[]>;
  /** The same of keys. */
  listWithoutKey(input: { restored_at: number; limit: number }): Promise<string[]>;
}

/** A user as a backup has it, with the password. */
export interface FormerUser {
  readonly user: UserRecord;
  readonly password: PasswordRecord | null;
}

/** A client as a backup has it. */
export interface FormerClient {
  readonly client: ClientRecord;
  readonly secrets: readonly ClientSecretRecord[];
}

/** Why something of a former row does not come back. */
export interface HeldBack {
  readonly kind: RevocationKind;
  readonly at: number;
}

/** What would come back, and what it would meet. */
export interface Outlook<Former, Row> {
  /** Without what was taken away since the backup. */
  readonly former: Former;
  readonly held: readonly HeldBack[];
  /** When it was removed, as far as anybody knows. */
  readonly removed_at: number | null;
  /** The id of the last revocation that was looked at. */
  readonly until: string;
  /** The row under that id now. */
  readonly current: Row | null;
}

/**
 * Puts single things back that a backup still has. What was taken away after the revocation `seen`, the last one that the
 * backup knows, stays so.
 */
export interface ReinstateStore {
  /** `rivals`: others who have the user name or the address now. */
  lookAtUser(input: FormerUser & { seen: string }): Promise<
    Outlook<FormerUser, UserRecord> & {
      readonly rivals: readonly Pick<UserRecord, 'id' | 'username' | 'email'>[];
    }
  >;
  /** Secrets that have run out by `now` do not come back. */
  lookAtClient(
    input: FormerClient & { seen: string; now: number },
  ): Promise<Outlook<FormerClient, ClientRecord>>;
  lookAtResource(input: {
    resource: ResourceRecord;
    seen: string;
  }): Promise<Outlook<ResourceRecord, ResourceRecord>>;
  /** Consents that a user has withdrawn, those after a revocation. */
  withdrawnBy(input: Page & { id: string }): Promise<Revocation[]>;
  /** Consents that were withdrawn from a client, those after a revocation. */
  withdrawnFrom(input: Page & { id: string }): Promise<Revocation[]>;
  /**
   * Adds a user that is not there, as the outlook has them. `changed`: something of theirs was taken away since it was made;
   * `taken`: the id, the name or the address is in use.
   */
  user(input: FormerUser & { until: string }): Promise<{ outcome: 'reinstated' | 'taken' | 'changed' }>;
  /**
   * Revokes what is in force of the access tokens of a client that is not there, among about `limit` that run out after
   * `after` (ms): go on after `next` until that is null. They must not work again once the client is there again.
   */
  voidTokens(input: {
    client_id: string;
    now: number;
    after: number;
    limit: number;
  }): Promise<{ count: number; next: number | null }>;
  /** Adds a client that is not there, as the outlook has it; answers as `user` does. */
  client(input: FormerClient & { until: string }): Promise<{ outcome: 'reinstated' | 'taken' | 'changed' }>;
  /**
   * Adds those that are not there, of users and clients that are, and were when it was granted. `changed`: nothing, because
   * one of these went just now.
   */
  consents(input: {
    consents: readonly ConsentRecord[];
  }): Promise<{ outcome: 'added'; added: number } | { outcome: 'changed' }>;
}
