// Whatever is sent to whatever endpoint, the answer is a clear one: 10,000 random bodies a run, and what goes around them.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Route } from '../../src/http/exchange.ts';
import { describeEngines, engines } from '../setup/engines.ts';
import { type Reply, unclear } from './clear.ts';
import { Range, type Target } from './range.ts';
import { draftOf, type Sample, type Shot, shotOf } from './request.ts';
import { samplesOf } from './samples.ts';
import { type Wound, wounds } from './wounds.ts';

const BODIES = Math.ceil(10_000 / engines.length);
/** To each route that takes no body. */
const SHOTS = 30;
/** After so many shots the samples are made anew, for requests that work use things up. */
const FRESH = 50;

const ALL_KINDS: readonly Route['kind'][] = ['oauth', 'page', 'api'];

describeEngines('bad input', (engine) => {
  let range: Range;
  beforeAll(async () => {
    range = await Range.open(engine);
  });
  afterAll(() => range?.[Symbol.asyncDispose]());

  it('gets a clear answer from every endpoint, never a fault of ours', async () => {
    const takers = range.targets.filter(takesBody);
    // Some wounds take the body away.
    const shotsEach = Math.ceil((BODIES * 1.1) / takers.length);
    let bodies = 0;
    for (const target of range.targets) {
      const sample = freshSamples(range, target);
      const property = fc.asyncProperty(wounds, fc.nat(), async (chosen, at) => {
        const shot = shotAt(target, await sample(at), chosen);
        if (shot.body) bodies += 1;
        const reply = await range.fire(target, shot);
        const why = unclear(reply, shot.method, shot.astray ? ALL_KINDS : [target.route.kind]);
        if (why) throw new Error(report(why, shot, reply, range.faults.at(-1)));
      });
      await fc.assert(property, { numRuns: takesBody(target) ? shotsEach : SHOTS });
    }
    expect(bodies).toBeGreaterThanOrEqual(BODIES);
    expect(range.faults).toEqual([]);
  }, 400_000);

  it('knows a request that works for every endpoint that takes a body', async () => {
    const unknown: string[] = [];
    for (const { route } of range.targets.filter(takesBody)) {
      if ((await samplesOf(route, range.product)).length === 0) unknown.push(`${route.method} ${route.path}`);
    }
    expect(unknown).toEqual([]);
  });

  it('does no lasting harm: what worked before still works', async () => {
    expect('polluted' in {}).toBe(false);
    for (const target of range.targets) {
      for (const sample of await samplesOf(target.route, range.product)) {
        const shot = shotAt(target, sample, []);
        const reply = await range.fire(target, shot);
        expect(reply.status < 400, report('it should work', shot, reply)).toBe(!sample.refused);
      }
    }
  });
});

function takesBody({ route }: Target): boolean {
  return route.body !== 'none';
}

function freshSamples(range: Range, { route }: Target): (at: number) => Promise<Sample> {
  let made: readonly Sample[] = [];
  let shots = 0;
  return async (at) => {
    if (shots % FRESH === 0) made = await samplesOf(route, range.product);
    shots += 1;
    return made[at % made.length] ?? {};
  };
}

function shotAt({ route, path }: Target, sample: Sample, chosen: readonly Wound[]): Shot {
  const draft = draftOf(route.method, path, sample);
  for (const wound of chosen) wound(draft);
  return shotOf(draft);
}

function report(why: string, shot: Shot, reply: Reply, fault = ''): string {
  const sent = `${shot.method} ${shot.url} ${JSON.stringify(shot.headers)} ${shot.body?.toString('latin1')}`;
  const got = `${reply.status} ${JSON.stringify(reply.headers)} ${reply.body}`;
  return `${why}\n> ${sent.slice(0, 4000)}\n< ${got.slice(0, 2000)}\n${fault}`;
}
