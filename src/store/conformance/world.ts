/** A store under test, and the short stories by which its tests begin. */
import type {
  AuthCodeRecord,
  ClientRecord,
  IssuanceRecord,
  RefreshTokenRecord,
  SessionRecord,
  TokenFamilyRecord,
  UserRecord,
} from '../records.ts';
import type { RotateAnswer, Store } from '../store.ts';
import {
  clientRow,
  codeRow,
  familyRow,
  issuanceRow,
  NOW,
  newId,
  refreshRow,
  sessionRow,
  userRow,
} from './rows.ts';

/** Somebody signed in, and a client. */
export interface Parties {
  readonly user: UserRecord;
  readonly client: ClientRecord;
  readonly session: SessionRecord;
}

/** What redeeming a code left behind. */
export interface Granted extends Parties {
  readonly code: AuthCodeRecord;
  readonly family: TokenFamilyRecord;
  readonly token: RefreshTokenRecord;
  readonly issuance: IssuanceRecord;
}

type RotateInput = Parameters<Store['refresh']['rotate']>[0];

export class World {
  readonly store: Store;

  constructor(store: Store) {
    this.store = store;
  }

  async user(given: Partial<UserRecord> = {}): Promise<UserRecord> {
    const user = userRow(given);
    await this.store.users.create({ user, password_hash: 'first hash' });
    return user;
  }

  async client(given: Partial<ClientRecord> = {}): Promise<ClientRecord> {
    const client = clientRow(given);
    await this.store.clients.create({ client, secret: null });
    return client;
  }

  async session(user: UserRecord, given: Partial<SessionRecord> = {}): Promise<SessionRecord> {
    const session = sessionRow(user.id, given);
    await this.store.sessions.start({ session, password_hash: null, replaces: null });
    return session;
  }

  async parties(): Promise<Parties> {
    const user = await this.user();
    return { user, client: await this.client(), session: await this.session(user) };
  }

  async code(parties: Parties, given: Partial<AuthCodeRecord> = {}): Promise<AuthCodeRecord> {
    const { user, client, session } = parties;
    const code = codeRow({ user_id: user.id, client_id: client.id, session_id: session.id }, given);
    await this.store.codes.issue({ code, request_id: null });
    return code;
  }

  /** Somebody signed in, a client, and the tokens that a code of this scope bought. */
  async granted(scope = 'openid', from?: Parties): Promise<Granted> {
    const parties = from ?? (await this.parties());
    const code = await this.code(parties, { scope });
    const purchase = purchaseOf(code);
    await this.store.codes.redeem(purchase);
    const { family, tokens } = purchase;
    return { ...parties, code, family, token: tokens.refresh, issuance: tokens.issuance };
  }

  rotate(granted: Granted, given: Partial<RotateInput> = {}): Promise<RotateAnswer> {
    return this.store.refresh.rotate(rotationOf(granted, given));
  }

  /** Is there a family of this user whose tokens would still be taken? */
  async hasLiveFamily(user: UserRecord, now = NOW): Promise<boolean> {
    return (await this.store.families.listOfUser({ user_id: user.id, now })).length > 0;
  }

  async isLive(issuance: IssuanceRecord, now = NOW): Promise<boolean> {
    return (await this.store.issuances.findLive({ jti: issuance.jti, now })) !== undefined;
  }
}

/** What a code buys: family, first refresh token, access token; other ones on each call. */
export function purchaseOf(code: AuthCodeRecord, now = NOW) {
  const family = familyRow(code);
  const issuance = issuanceRow({
    family_id: family.id,
    user_id: family.user_id,
    client_id: family.client_id,
  });
  return { code_hash: code.code_hash, now, family, tokens: { refresh: refreshRow(family.id), issuance } };
}

/** The first refresh token given back for another, with no retry window; other tokens on each call. */
export function rotationOf(
  { token, family, user, client }: Granted,
  given: Partial<RotateInput> = {},
): RotateInput {
  return {
    token_hash: token.token_hash,
    now: NOW,
    retry_window: 0,
    successor_salt: newId('salt'),
    successor: refreshRow(family.id),
    issuance: issuanceRow({ family_id: family.id, user_id: user.id, client_id: client.id }),
    ...given,
  };
}

/** Does something many times at once. */
export function atOnce<T>(times: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => work(index)));
}

/** How often each outcome came. */
export function tally(answers: readonly { readonly outcome: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
