import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { identityToRecipient } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { Failure } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import { makeIdentity, recipientOf } from './age-keys.ts';

describe('age identities', () => {
  test('are those of the age package, and of age itself where it is installed', async () => {
    for (let n = 0; n < 20; n++) {
      const identity = makeIdentity(systemRandom);
      expect(identity).toMatch(/^AGE-SECRET-KEY-1[A-Z0-9]{58}$/);
      expect(recipientOf(identity)).toBe(await identityToRecipient(identity));
    }
    const identity = makeIdentity({ bytes: () => Buffer.alloc(32, 7) });
    expect(execFileSync('age-keygen', ['-y'], { input: identity }).toString().trim()).toBe(
      recipientOf(identity),
    );
  });

  test('a key with one wrong character, cut or of another kind is refused, and not repeated', () => {
    const identity = makeIdentity(systemRandom);
    const wrong = [
      '',
      'AGE-SECRET-KEY-1',
      identity.slice(0, -1),
      `${identity}Q`,
      identity.toLowerCase().replace(/^./, 'A'),
      recipientOf(identity),
      randomBytes(40).toString('hex'),
      ...[20, 40, 60, 73].map((at) => {
        const other = identity[at] === 'Q' ? 'P' : 'Q';
        return identity.slice(0, at) + other + identity.slice(at + 1);
      }),
    ];
    for (const text of wrong) {
      const failure = fails(() => recipientOf(text));
      expect(failure.code).toBe('invalid_input');
      if (text !== '') expect(failure.message).not.toContain(text);
    }
  });
});

function fails(work: () => unknown): Failure {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
