import { describe, expect, test } from 'vitest';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { Failure } from '../../kernel/errors.ts';
import { systemRandom } from '../../kernel/random.ts';
import { readRecoverySheet, writeRecoverySheet } from './recovery-sheet.ts';

const SIGNERS = [
  'KeOIrdWhmMbyRqqAcgf3GK0jKPJXLHUJnXvLe5BezZk',
  'DD-KVzh7dE4P5y09za8D5BQ4QKGMs81QzZfiqAaTshk',
];
const identity = makeIdentity(systemRandom);
const parts = { deploymentId: 'dep_1', signers: SIGNERS, recipient: recipientOf(identity), madeAt: 0 };

describe('a recovery sheet', () => {
  test('is read as it was written, also with the line breaks of another system, and typed in small letters', () => {
    const sheet = writeRecoverySheet({ ...parts, identity });
    const expected = { identities: [identity], signers: SIGNERS, deploymentId: 'dep_1' };
    expect(readRecoverySheet(sheet)).toEqual(expected);
    expect(readRecoverySheet(`\ufeff${sheet.replaceAll('\n', '\r\n')}`)).toEqual(expected);
    expect(readRecoverySheet(identity.toLowerCase()).identities).toEqual([identity]);
    expect(readRecoverySheet(writeRecoverySheet(parts))).toEqual({ ...expected, identities: [] });
  });

  test('with a slip is refused without being repeated', () => {
    const slip = identity.slice(0, 40) + (identity[40] === 'Q' ? 'P' : 'Q') + identity.slice(41);
    const two = `# deployment: dep_1\n# deployment: dep_2\n${identity}\n`;
    for (const text of ['', 'hello', slip, two, `# signer: short\n${identity}`, `${identity} ${identity}`]) {
      try {
        readRecoverySheet(text);
        expect.unreachable(text);
      } catch (error) {
        expect(error).toBeInstanceOf(Failure);
        expect(error).toMatchObject({ code: 'invalid_input' });
        expect(String(error)).not.toContain(identity.slice(20, 40));
      }
    }
  });
});
