import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type Keyboard, readSecret } from './secret.ts';

/** A keyboard with a person at it, who types the lines, or a pipe that holds them. */
function keyboard(typed: string, { terminal }: { readonly terminal: boolean }) {
  const stdin = Object.assign(new PassThrough(), { isTTY: terminal, setRawMode: () => undefined });
  const stderr = new PassThrough();
  const lines = typed.split(/(?<=\n)/);
  // A person types an answer when asked for it.
  if (terminal) stderr.on('data', (shown) => /: $/.test(String(shown)) && stdin.write(lines.shift() ?? ''));
  else stdin.end(typed);
  const shown: string[] = [];
  stderr.on('data', (chunk) => shown.push(String(chunk)));
  return { keys: { stdin, stderr } as unknown as Keyboard, shown };
}

test('a terminal is asked without echo, twice for a new secret', async () => {
  const { keys, shown } = keyboard('correct horse\ncorrect horse\n', { terminal: true });
  expect(await readSecret(keys, 'Password', { confirm: true })).toBe('correct horse');
  expect(shown.join('')).toBe('Password: \nPassword again: \n');
});

test('two entries that differ are refused', async () => {
  const { keys } = keyboard('correct horse\ncorrect house\n', { terminal: true });
  await expect(readSecret(keys, 'Password', { confirm: true })).rejects.toThrow('The two entries differ.');
});

test('Ctrl-C at the prompt interrupts', async () => {
  const { keys } = keyboard('\u0003', { terminal: true });
  await expect(readSecret(keys, 'Password')).rejects.toMatchObject({ code: 'interrupted' });
});

test.each([
  ['secret\n', 'secret'],
  ['secret', 'secret'],
  [' two words \r\n', ' two words '],
  ['line\n\n', 'line\n'],
])('a pipe with %j holds %j', async (piped, secret) => {
  const { keys, shown } = keyboard(piped, { terminal: false });
  expect(await readSecret(keys, 'Password', { confirm: true })).toBe(secret);
  expect(shown).toEqual([]);
});

test('a terminal that was named as standard input is read to its end, without a prompt', async () => {
  const { keys, shown } = keyboard('', { terminal: true });
  keys.stdin.push('correct horse\n');
  keys.stdin.push(null);
  expect(await readSecret(keys, 'Password', { confirm: true, stdin: true })).toBe('correct horse');
  expect(shown).toEqual([]);
});

test.each(['', '\n'])('a pipe with %j holds no secret', async (piped) => {
  const { keys } = keyboard(piped, { terminal: false });
  await expect(readSecret(keys, 'Password')).rejects.toThrow('No password was given.');
});
