import { expect, test } from 'vitest';
import { isLoopbackHost, staysOnThisMachine } from './loopback.ts';

test.each([
  ['127.0.0.1', true, true],
  ['[::1]', true, true],
  ['localhost', true, true],
  ['127.1.2.3', false, true],
  ['app.localhost', false, true],
  ['localhost.example', false, false],
  ['notlocalhost', false, false],
  ['127.0.0.1.example', false, false],
  ['128.0.0.1', false, false],
  ['[::2]', false, false],
])('%s', (hostname, loopback, stays) => {
  expect(isLoopbackHost(hostname)).toBe(loopback);
  expect(staysOnThisMachine(hostname)).toBe(stays);
});
