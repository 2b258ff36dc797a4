import { describe, expect, it } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { RateLimiter } from './limits.ts';

function setUp(requestsPerSecond: number, burst: number) {
  const time = { now: 1_000_000 };
  const limiter = new RateLimiter({ requestsPerSecond, burst }, { now: () => time.now });
  const refusal = (source: string): Failure | undefined => {
    try {
      limiter.take(source);
      return undefined;
    } catch (error) {
      return error as Failure;
    }
  };
  return { time, refusal };
}

describe('the rate limiter', () => {
  it('lets a burst through, then the steady rate, and says when to come back', () => {
    const { time, refusal } = setUp(0.5, 3);
    for (let i = 0; i < 3; i++) expect(refusal('192.0.2.1')).toBeUndefined();
    expect(refusal('192.0.2.1')).toMatchObject({ code: 'rate_limited', retryAfter: 2 });
    time.now += 1999;
    expect(refusal('192.0.2.1')).toMatchObject({ retryAfter: 1 });
    time.now += 1;
    expect(refusal('192.0.2.1')).toBeUndefined();
    expect(refusal('192.0.2.1')).toBeInstanceOf(Failure);
  });

  it('never saves up more than the burst', () => {
    const { time, refusal } = setUp(10, 2);
    refusal('192.0.2.1');
    time.now += 3_600_000;
    const answers = [1, 2, 3].map(() => refusal('192.0.2.1')?.code);
    expect(answers).toEqual([undefined, undefined, 'rate_limited']);
  });

  it('counts each IPv4 address, and IPv6 addresses by their /64', () => {
    const { refusal } = setUp(1, 1);
    expect(refusal('192.0.2.1')).toBeUndefined();
    expect(refusal('192.0.2.2')).toBeUndefined();
    expect(refusal('2001:db8:0:1::1')).toBeUndefined();
    expect(refusal('2001:db8:0:1:ffff::2')?.code).toBe('rate_limited');
    expect(refusal('2001:db8:0:2::1')).toBeUndefined();
    expect(refusal('::1')).toBeUndefined();
    expect(refusal('::2')?.code).toBe('rate_limited');
    expect(refusal('2001:0DB8::0001:0:0:0:3')?.code).toBe('rate_limited');
    expect(refusal('::ffff:192.0.2.1')?.code).toBe('rate_limited');
    expect(refusal('::ffff:192.0.2.3')).toBeUndefined();
  });

  it('keeps its memory bounded, and forgets the resting sources first', () => {
    const { time, refusal } = setUp(1, 1);
    for (let i = 0; i < 49_999; i++) refusal(`resting ${i}`);
    time.now += 1000;
    expect(refusal('busy')).toBeUndefined();
    expect(refusal('one too many')).toBeUndefined();
    expect(refusal('busy')?.code).toBe('rate_limited');
  });

  it('survives a clock that steps back', () => {
    const { time, refusal } = setUp(1, 2);
    refusal('192.0.2.1');
    time.now -= 60_000;
    expect(refusal('192.0.2.1')).toBeUndefined();
  });
});
