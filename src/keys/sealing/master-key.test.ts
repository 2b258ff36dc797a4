import { describe, expect, test } from 'vitest';
import type { Failure } from '../../kernel/errors.ts';
import { systemRandom } from '../../kernel/random.ts';
import { aesMasterKey, masterKeyId } from './master-key.ts';

const secret = systemRandom.bytes(32);
const make = (text: string) => aesMasterKey(text, 'data_encryption.key', systemRandom);

describe('a master key', () => {
  test.each([
    ['hexadecimal', secret.toString('hex')],
    ['upper case', secret.toString('hex').toUpperCase()],
    ['base64', secret.toString('base64')],
    ['base64url', secret.toString('base64url')],
    ['with a line break', `${secret.toString('hex')}\n`],
  ])('is read as %s', (_, text) => {
    expect(make(text).id).toBe(masterKeyId(secret));
    expect(make(text).secret).toEqual(secret);
  });

  test.each([
    ['nothing', ''],
    ['a word', 'changeme'],
    ['too short', secret.toString('hex').slice(2)],
    ['too long', `${secret.toString('hex')}00`],
    ['zeros', '0'.repeat(64)],
    ['a pattern', '0123456789abcdef'.repeat(4)],
  ])('is refused as %s, without being shown', (_, text) => {
    let failure: Failure | undefined;
    try {
      make(text);
    } catch (error) {
      failure = error as Failure;
    }
    expect(failure).toMatchObject({
      code: 'configuration',
      hint: expect.stringContaining('openssl rand -hex 32'),
    });
    if (text !== '') expect(`${failure?.message}${failure?.hint}${failure?.detail}`).not.toContain(text);
  });

  test('has an id that is the same everywhere and tells nothing of it', () => {
    const id = masterKeyId(secret);
    expect(id).toMatch(/^aes_[0-9a-f]{32}$/);
    expect(masterKeyId(Buffer.from(secret))).toBe(id);
    expect(masterKeyId(systemRandom.bytes(32))).not.toBe(id);
    expect(secret.toString('hex')).not.toContain(id.slice(4, 12));
  });

  test('unwraps what it has wrapped, for the same data key alone', async () => {
    const [one, other] = [make(secret.toString('hex')), make(systemRandom.bytes(32).toString('hex'))];
    const dataKey = systemRandom.bytes(32);
    const wrapped = await one.wrap(dataKey, 'dk_1');
    expect(await one.unwrap(wrapped, 'dk_1')).toEqual(dataKey);
    expect(await one.unwrap(wrapped, 'dk_2')).toBeUndefined();
    expect(await other.unwrap(wrapped, 'dk_1')).toBeUndefined();
    expect(await one.unwrap('nonsense', 'dk_1')).toBeUndefined();
  });
});
