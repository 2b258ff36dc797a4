import { describe, expect, test } from 'vitest';
import { deviceName } from './device.ts';
import { hostInWords } from './host.ts';
import { ago, atTime, inWords, onDate } from './words.ts';

const NOON = Date.UTC(2026, 10, 21, 12, 0);

test.each([
  [1, '1 second'],
  [90, '90 seconds'],
  [91, '2 minutes'],
  [900, '15 minutes'],
  [5401, '2 hours'],
])('%d seconds are %s', (count, words) => expect(inWords(count)).toBe(words));

test.each([
  [-5, 'just now'],
  [119, 'just now'],
  [120, '2 minutes ago'],
  [3600, '1 hour ago'],
  [86_400, '1 day ago'],
  [40 * 86_400, '12 October 2026'],
])('%d seconds back is %s', (passed, words) => expect(ago(NOON - passed * 1000, NOON).text).toBe(words));

test('moments carry their exact time', () => {
  expect(onDate(NOON)).toEqual({ iso: '2026-11-21T12:00:00.000Z', text: '21 November 2026' });
  expect(atTime(NOON).text).toBe('21 November 2026 at 12:00 UTC');
});

describe('a device is named as people know it', () => {
  test.each([
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0',
      'Firefox on Windows',
    ],
    [
      'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
      'Chrome on Linux',
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36 Edg/156.0',
      'Edge on Windows',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1 Version/19.1 Mobile Safari/604.1',
      'Safari on iPhone',
    ],
    [
      'Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 SamsungBrowser/29.0 Chrome/136 Mobile Safari/537.36',
      'Samsung Internet on Android',
    ],
    ['curl/8.5.0', 'Unknown device'],
    ['', 'Unknown device'],
  ])('%j', (userAgent, name) => expect(deviceName(userAgent)).toBe(name));
});

describe('a redirect is shown by where it leads', () => {
  test.each([
    ['https://notes.example/callback', 'notes.example'],
    ['https://notes.example:8443/callback', 'notes.example:8443'],
    ['https://user@notes.example/', 'notes.example'],
    ['https://nötes.example/', 'xn--ntes-5qa.example'],
    ['http://127.0.0.1:8912/cb', 'an application on this device'],
    ['http://[::1]:8912/cb', 'an application on this device'],
    ['http://localhost/cb', 'an application on this device'],
    ['com.example.app:/cb', 'an application on this device'],
    ['', 'an application on this device'],
    ['https://127.0.0.1.evil.example/', '127.0.0.1.evil.example'],
  ])('%s', (uri, words) => expect(hostInWords(uri)).toBe(words));
});
