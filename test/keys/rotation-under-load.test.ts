// A hundred rotations while two servers sign and verifiers cache the JWK set for as long as they are told to: not one token
// that is in force is ever refused. The time is moved, so that months pass in seconds.

import { expect, test } from 'vitest';
import type { Keyring } from '../../src/keys/keyring.ts';
import { newId } from '../../src/store/conformance/rows.ts';
import { describeEngines, inTurn } from '../setup/engines.ts';
import { Rig, TIMING } from './rig.ts';
import { CachingVerifier } from './verifier.ts';

interface Token {
  readonly jwt: string;
  readonly expires_at: number;
}

/** How far time goes in one step, ms: no divisor of any lifetime, so that the steps fall everywhere. */
const STEP = 61_000;
const LIFETIME = 600_000;
/** Tokens that are signed at the same moment while keys change. */
const AT_ONCE = 4;

/** Some of what is in force: the oldest, the youngest, and one between. */
function sampleOf(tokens: readonly Token[]): Token[] {
  const middle = Math.floor(tokens.length / 2);
  return [...new Set([...tokens.slice(0, 1), ...tokens.slice(middle, middle + 1), ...tokens.slice(-2)])];
}

interface Run {
  readonly rotations: number;
  readonly checked: number;
  readonly rejected: number;
  readonly retired: number;
}

/** @param caching how long verifiers cache, as a multiple of what they are told to */
async function rotateUnderLoad(rig: Rig, rotations: number, caching: number): Promise<Run> {
  const { clock, store } = rig;
  const rings = [await rig.open(), await rig.open()];
  const [first, second] = rings as [Keyring, Keyring];
  const maxAge = TIMING.jwksMaxAge * caching;
  const verifiers = [0, 0.3, 0.7].map(
    (phase, index) => new CachingVerifier(() => rings[index % 2]!.jwks(), maxAge, phase * maxAge),
  );
  let live: Token[] = [];
  const sign = async (ring: Keyring): Promise<void> => {
    const issued_at = clock.now();
    const expires_at = issued_at + LIFETIME;
    const jti = newId('jti');
    const { jwt, kid } = await ring.sign('at+jwt', { jti, exp: expires_at / 1000 });
    const whose = { family_id: null, user_id: null, client_id: 'cli', revoked_at: null };
    await store.issuances.record({ issuance: { jti, kid, issued_at, expires_at, ...whose } });
    live.push({ jwt, expires_at });
  };

  for (let done = 0; done < rotations; done++) {
    const { activates_at } = await (done % 2 === 0 ? first : second).rotate();
    for (let after = false; !after; ) {
      after = clock.now() >= activates_at;
      clock.advance(STEP);
      // Signing goes on while the keys change hands.
      await Promise.all([
        ...rings.map((ring) => ring.tick()),
        ...Array.from({ length: AT_ONCE }, (_, index) => sign(rings[index % 2]!)),
      ]);
      const now = clock.now();
      live = live.filter(({ expires_at }) => expires_at > now);
      const seen = sampleOf(live);
      await Promise.all(verifiers.flatMap((verifier) => seen.map(({ jwt }) => verifier.check(jwt, now))));
    }
  }
  const states = first.state().keys.map(({ state }) => state);
  return {
    rotations: states.length - 1,
    checked: verifiers.reduce((sum, { checked }) => sum + checked, 0),
    rejected: verifiers.reduce((sum, { rejected }) => sum + rejected.length, 0),
    retired: states.filter((state) => state === 'retired').length,
  };
}

describeEngines('verifiers that cache the JWK set for the full max-age', (engine) => {
  const story = inTurn(engine);
  story('accept every token through 100 rotations', { timeout: 60_000 }, async () => {
    await using rig = await Rig.make(engine);
    const run = await rotateUnderLoad(rig, 100, 1);
    expect(run).toMatchObject({ rotations: 100, rejected: 0 });
    expect(run.retired).toBeGreaterThan(90);
    expect(run.checked).toBeGreaterThan(5000);
  });

  test('refuse some when they cache it for longer than they may: the test can fail', async () => {
    await using rig = await Rig.make(engine);
    expect((await rotateUnderLoad(rig, 3, 3)).rejected).toBeGreaterThan(0);
  });
});
