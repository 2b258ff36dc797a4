import { expect, test } from 'vitest';
import { asFailure } from '../../kernel/errors.ts';
import { outputOf } from './key-command.ts';

const node = (script: string) => [process.execPath, '-e', script];
const failed = (argv: readonly string[], patience = 5000) =>
  outputOf(argv, 'data_encryption.key_command', patience).then(
    () => expect.unreachable('it went well'),
    asFailure,
  );

test('a program is run without a shell, and its output read', async () => {
  const argv = [process.execPath, '-p', 'process.argv[1]', '$(echo no); `no`'];
  expect(await outputOf(argv, 'setting', 5000)).toBe('$(echo no); `no`\n');
});

test('one that fails is named with what it said, and not with what it printed or was given', async () => {
  const failure = await failed(
    node('console.log("the-key"); console.error("no such item"); process.exit(3)'),
  );
  expect(failure).toMatchObject({ code: 'configuration' });
  expect(failure.message).toMatch(/^data_encryption.key_command: .* failed \(3\)\. It said: no such item$/);
  expect(`${failure.message}${failure.hint}${failure.detail}`).not.toContain('the-key');
});

test('one that is not there is named', async () => {
  expect((await failed(['/no/such/program'])).message).toContain('/no/such/program does not exist');
});

test('one that does not end is ended', async () => {
  const started = performance.now();
  const failure = await failed(node('setInterval(() => {}, 1000)'), 300);
  expect(failure).toMatchObject({ code: 'unavailable', message: expect.stringContaining('within 0.3 s') });
  expect(performance.now() - started).toBeLessThan(2000);
});
