// Owns the judgement after the faults: holds a ledger against the server and names every promise that it broke.

import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import type { Operator } from '../clients/operator.ts';
import { Person } from '../clients/person.ts';
import type { TestServer } from '../setup/server.ts';
import type { Family, Ledger } from './ledger.ts';
import type { Wire } from './wire.ts';

/** How many requests are under way at once. */
const CONCURRENCY = 12;

export interface Court {
  readonly server: TestServer;
  readonly wire: Wire;
  readonly operator: Operator;
  /** Whether there is a retry window, in which a spent token still brings the same successor. */
  readonly retries: boolean;
}

/** What was found broken, and how often. */
export type Broken = Readonly<Record<string, number>>;

/** What the ledger has and the server does not keep; empty when all is well. Spends the latest tokens. */
export async function brokenPromises(ledger: Ledger, court: Court): Promise<Broken> {
  const broken: Record<string, number> = {};
  const claim: Claim = (holds, promise) => {
    if (!holds) broken[promise] = (broken[promise] ?? 0) + 1;
  };
  for (const answer of ledger.wrongAnswers) claim(false, answer);
  const { families } = ledger;
  // First what can be asked without changing anything, then what spends or revokes.
  await forEach(families, (family) => askAbout(family, court, claim));
  await askAboutMachineTokens(ledger, court, claim);
  await askAboutKeys(ledger, court, claim);
  await askAboutAccounts(ledger, court, claim);
  await forEach(families, (family) => useTokens(family, court, claim));
  await forEach(ledger.codes, async (code) => {
    claim(await isRefused(court.wire.redeem(code)), 'a spent code was redeemed again');
  });
  return broken;
}

type Claim = (holds: boolean, promise: string) => void;

async function askAbout(family: Family, { wire }: Court, claim: Claim): Promise<void> {
  for (const token of family.spent) {
    claim(!(await wire.isActive(token)), 'a spent refresh token is active');
  }
  if (family.state === 'doubtful') return;
  const live = family.state === 'live';
  for (const token of [family.latest, ...family.accessTokens]) {
    const active = await wire.isActive(token);
    claim(active || !live, 'a token of a live sign-in is not active');
    claim(!active || live, 'a token of a revoked sign-in is active');
  }
}

async function useTokens(family: Family, court: Court, claim: Claim): Promise<void> {
  const { wire } = court;
  const { latest, spent, state } = family;
  if (state === 'live') await useOnce(latest, court, claim);
  if (state === 'revoked')
    claim(await isRefused(wire.refresh(latest)), 'a revoked refresh token brought tokens');
  for (const token of spent) {
    // The last of a doubtful family may have a successor that nobody has used: within the window that is a retry.
    if (court.retries && state === 'doubtful' && token === spent.at(-1)) continue;
    claim(await isRefused(wire.refresh(token)), 'a spent refresh token brought tokens');
  }
}

async function useOnce(token: string, { wire, retries }: Court, claim: Claim): Promise<void> {
  const first = await wire.refresh(token);
  claim(first?.status === 200, 'the latest refresh token does not work');
  if (first?.status !== 200) return;
  const { refresh_token: successor } = first.body;
  if (retries) {
    const again = await wire.refresh(token);
    claim(again?.body.refresh_token === successor, 'a retry within the window did not bring the same token');
    claim((await wire.refresh(successor))?.status === 200, 'the successor does not work after a retry');
  }
  claim(await isRefused(wire.refresh(token)), 'the latest refresh token worked twice');
}

async function askAboutMachineTokens(
  { machineTokens, revokedTokens }: Ledger,
  { wire }: Court,
  claim: Claim,
): Promise<void> {
  await forEach(machineTokens, async (token) => {
    claim(await wire.isActive(token, 'service'), 'an access token that was issued is not active');
  });
  await forEach(revokedTokens, async (token) => {
    claim(!(await wire.isActive(token, 'service')), 'a revoked access token is active');
  });
}

/** Every key is there, the private halves fit, and every token that was issued verifies. */
async function askAboutKeys(ledger: Ledger, { server, operator }: Court, claim: Claim): Promise<void> {
  const { signing, problems, items } = await operator.call('GET', '/keys');
  claim(signing !== null && problems.length === 0, `the keys have problems: ${JSON.stringify(problems)}`);
  const kids = new Set(items.map(({ kid }: { kid: string }) => kid));
  for (const kid of ledger.kids) claim(kids.has(kid), 'a signing key that was made is gone');

  const jwks = await fetch(`${server.issuer}/.well-known/jwks.json`);
  const keys = createLocalJWKSet((await jwks.json()) as JSONWebKeySet);
  const tokens = [...ledger.families.flatMap(({ accessTokens }) => accessTokens), ...ledger.machineTokens];
  await forEach(tokens, async (token) => {
    const verified = await jwtVerify(token, keys, { issuer: server.issuer }).catch(() => undefined);
    claim(verified !== undefined, 'an access token does not verify with the published keys');
  });
}

async function askAboutAccounts(
  { users, clients }: Ledger,
  { server, wire, operator }: Court,
  claim: Claim,
): Promise<void> {
  await forEach(users, async ({ username }) => {
    const found = await operator.call('GET', `/users/${username}`).catch(() => undefined);
    claim(found?.username === username, 'a user that was created is gone');
  });
  const [account] = users;
  if (account) {
    const signIn = new Person(server.issuer, account).signIn(server.issuer);
    claim(await worked(signIn), 'a user that was created cannot sign in');
  }
  await forEach(clients, async (client) => {
    claim((await wire.machineToken(client))?.status === 200, 'a client that was created gets no token');
  });
}

/** Refused as RFC 6749 says it, not by accident. */
async function isRefused(answer: ReturnType<Wire['refresh']>): Promise<boolean> {
  const { status, body } = (await answer) ?? {};
  return status === 400 && body.error === 'invalid_grant';
}

function worked(promise: Promise<void>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  );
}

async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}
