// Owns what clients know for certain: everything that the server has answered 2xx, written down outside of it.

import type { Account } from '../clients/person.ts';

/** A sign-in and the refresh tokens that followed one another from it. */
export interface Family {
  /** `doubtful`: the answer to its last rotation was lost, so its latest token may be spent or not. */
  state: 'live' | 'doubtful' | 'revoked';
  latest: string;
  readonly spent: string[];
  readonly accessTokens: string[];
}

export interface SpentCode {
  readonly code: string;
  readonly verifier: string;
}

export interface Secret {
  readonly client_id: string;
  readonly client_secret: string;
}

export interface Ledger {
  readonly families: Family[];
  readonly codes: SpentCode[];
  /** Access tokens of the client credentials grant. */
  readonly machineTokens: string[];
  /** Access tokens that were revoked one by one. */
  readonly revokedTokens: string[];
  readonly users: Account[];
  readonly clients: Secret[];
  /** Signing keys whose making was acknowledged. */
  readonly kids: string[];
  /** Answers that were wrong at once, while the server was in good health. */
  readonly wrongAnswers: string[];
}

export function emptyLedger(): Ledger {
  return {
    families: [],
    codes: [],
    machineTokens: [],
    revokedTokens: [],
    users: [],
    clients: [],
    kids: [],
    wrongAnswers: [],
  };
}

/** How many answers were written down. */
export function acknowledgements(ledger: Ledger): number {
  const { families, codes, machineTokens, revokedTokens, users, clients, kids } = ledger;
  const rotations = families.reduce((sum, { spent }) => sum + spent.length, 0);
  const revocations = families.filter(({ state }) => state === 'revoked').length + revokedTokens.length;
  return rotations + revocations + [codes, machineTokens, users, clients, kids].flat().length;
}
