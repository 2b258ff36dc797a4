// The same in real time, against servers that serve: clients fetch tokens all the time, and resource servers cache the
// JWK set for as long as its headers allow. Both engines at once, because most of it is waiting.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { Operator } from '../clients/operator.ts';
import { type Engine, engines, freshStorage } from '../setup/engines.ts';
import { startServer } from '../setup/server.ts';
import { CachingVerifier } from './verifier.ts';

const ROTATIONS = 3;
const PAUSE = 40;

interface Seen {
  readonly rotations: number;
  readonly kids: number;
  readonly tokens: number;
  readonly checked: number;
  readonly rejected: number;
  readonly maxAge: number;
}

async function rotateInRealTime(engine: Engine): Promise<Seen> {
  await using storage = await freshStorage(engine);
  await using server = await startServer({
    storage,
    env: {
      AUTHSERVER_SIGNING_JWKS_MAX_AGE: '1s',
      AUTHSERVER_SIGNING_CLOCK_SKEW: '0',
      AUTHSERVER_RATE_LIMIT_ENABLED: 'false',
    },
  });
  const operator = new Operator(server);
  const client = await operator.client({ kind: 'service', token_endpoint_auth_method: 'client_secret_post' });
  const { client_id, client_secret = '' } = client;
  const { jwks_uri } = await getJson(`${server.issuer}/.well-known/openid-configuration`);
  const maxAge = maxAgeOf(await fetch(jwks_uri));
  const verifiers = [0, 0.5].map(
    (phase) => new CachingVerifier(() => getJson(jwks_uri), maxAge, phase * maxAge),
  );

  const kids = new Set<string>();
  let [tokens, stopped] = [0, false];
  const recent: string[] = [];
  const load = async () => {
    while (!stopped) {
      const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret });
      const answer = await fetch(`${server.issuer}/oauth/token`, { method: 'POST', body });
      expect(answer.status).toBe(200);
      const { access_token } = (await answer.json()) as { access_token: string };
      tokens += 1;
      kids.add(JSON.parse(Buffer.from(access_token.split('.')[0] ?? '', 'base64url').toString()).kid);
      recent.push(access_token);
      // One from long ago, which the former key has signed, beside the new one.
      const old = recent[Math.floor(recent.length / 2)] ?? access_token;
      for (const verifier of verifiers)
        for (const jwt of [access_token, old]) await verifier.check(jwt, Date.now());
      await sleep(PAUSE);
    }
  };
  const loads = Promise.all([load(), load()]);

  let rotations = 0;
  const rotateAll = async () => {
    for (; rotations < ROTATIONS; rotations++) {
      const { activates_at } = await operator.call('POST', '/keys/rotate');
      await sleep(activates_at - Date.now() + 1);
      process.kill(server.pid, 'SIGHUP');
      // Until the load has met it.
      await vi.waitUntil(() => kids.size === rotations + 2, { timeout: 10_000 });
    }
  };
  await Promise.race([rotateAll(), loads]).finally(() => {
    stopped = true;
  });
  await loads;
  const sum = (of: (verifier: CachingVerifier) => number) =>
    verifiers.reduce((all, each) => all + of(each), 0);
  return {
    rotations,
    kids: kids.size,
    tokens,
    checked: sum(({ checked }) => checked),
    rejected: sum(({ rejected }) => rejected.length),
    maxAge,
  };
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
async function getJson(url: string): Promise<any> {
  return (await fetch(url)).json();
}

/** ms, as the answer says. */
function maxAgeOf(answer: Response): number {
  return 1000 * Number(/max-age=(\d+)/.exec(answer.headers.get('cache-control') ?? '')?.[1]);
}

test(`${ROTATIONS} rotations of servers under load reject no token`, { timeout: 120_000 }, async () => {
  const runs = await Promise.all(engines.map(rotateInRealTime));
  for (const run of runs) {
    expect(run).toMatchObject({ rotations: ROTATIONS, kids: ROTATIONS + 1, rejected: 0, maxAge: 1000 });
    expect(run.checked).toBeGreaterThan(run.tokens);
    expect(run.tokens).toBeGreaterThan(200);
  }
});
