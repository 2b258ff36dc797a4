import { describe, expect, test } from 'vitest';
import { PasswordHasher } from './passwords.ts';

const cheap = { memory: 64, passes: 1, parallelism: 1, concurrency: 2 };

describe('hashing', () => {
  test('makes PHC strings with the parameters it was given', async () => {
    const hash = await new PasswordHasher({ ...cheap, memory: 19_456, passes: 2 }).hash('correct horse');
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    const own = await new PasswordHasher({ ...cheap, memory: 128, passes: 3, parallelism: 2 }).hash(
      'correct horse',
    );
    expect(own).toMatch(/^\$argon2id\$v=19\$m=128,t=3,p=2\$/);
  });

  test('knows the password again, however its letters were composed, and no other', async () => {
    const hasher = new PasswordHasher(cheap);
    const hash = await hasher.hash('p\u00e4ssw\u00f6rter');
    expect(await hasher.verify(hash, 'pa\u0308sswo\u0308rter')).toBe(true);
    expect(await hasher.verify(hash, 'passworter')).toBe(false);
    expect(await hasher.verify(hash, '')).toBe(false);
  });

  test('never takes a password where there is no hash', async () => {
    const hasher = new PasswordHasher(cheap);
    for (const password of ['', 'anything', 'x'.repeat(5000)])
      expect(await hasher.verify(null, password)).toBe(false);
  });

  test('holds passwords to 8 characters and 1024 bytes', async () => {
    const hasher = new PasswordHasher(cheap);
    const refused = { code: 'invalid_input' };
    await expect(hasher.hash('1234567')).rejects.toMatchObject(refused);
    await expect(hasher.hash('x'.repeat(1025))).rejects.toMatchObject(refused);
    await expect(hasher.hash('\u{1f511}'.repeat(7))).rejects.toMatchObject(refused);
    const longest = await hasher.hash('x'.repeat(1024));
    expect(await hasher.verify(longest, 'x'.repeat(1024))).toBe(true);
    expect(await hasher.verify(longest, 'x'.repeat(1025))).toBe(false);
  });

  test('asks for a new hash when the parameters have grown, not when they have shrunk', async () => {
    const hash = await new PasswordHasher({ ...cheap, memory: 128, passes: 2 }).hash('correct horse');
    expect(new PasswordHasher({ ...cheap, memory: 128, passes: 2 }).needsRehash(hash)).toBe(false);
    expect(new PasswordHasher(cheap).needsRehash(hash)).toBe(false);
    expect(new PasswordHasher({ ...cheap, memory: 256, passes: 2 }).needsRehash(hash)).toBe(true);
    expect(new PasswordHasher({ ...cheap, memory: 128, passes: 3 }).needsRehash(hash)).toBe(true);
    expect(new PasswordHasher(cheap).needsRehash(hash.replace('$argon2id$', '$argon2i$'))).toBe(true);
  });
});

describe('the cap', () => {
  test('lets a few work and a few wait; the rest are told to come back', async () => {
    const hasher = new PasswordHasher({ ...cheap, concurrency: 2, waiting: 3 });
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => hasher.verify(null, 'x')));
    const turnedAway = answers.filter((answer) => answer.status === 'rejected').map(({ reason }) => reason);
    expect(turnedAway).toHaveLength(5);
    for (const reason of turnedAway) expect(reason).toMatchObject({ code: 'rate_limited', retryAfter: 3 });
    expect(await hasher.verify(null, 'x')).toBe(false);
  });

  test('gives the turn back when hashing fails', async () => {
    const hasher = new PasswordHasher({ ...cheap, concurrency: 1, waiting: 0 });
    await expect(hasher.verify('no hash at all', 'x')).rejects.toThrow();
    expect(await hasher.verify(null, 'x')).toBe(false);
  });
});

test('checking a password that nobody has takes as long as checking a real one', async () => {
  const hasher = new PasswordHasher({ ...cheap, memory: 8192, passes: 2 });
  const hash = await hasher.hash('correct horse');
  const times = { real: [] as number[], none: [] as number[] };
  for (let round = 0; round < 25; round++) {
    times.real.push(await timed(() => hasher.verify(hash, 'wrong horse')));
    times.none.push(await timed(() => hasher.verify(null, 'wrong horse')));
  }
  const ratio = quickest(times.none) / quickest(times.real);
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** A busy machine only adds time: the quickest of many tells what the work itself costs. */
function quickest(values: readonly number[]): number {
  return Math.min(...values);
}
