import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesRedirectUri, redirectUriFault } from './redirect-uris.ts';

describe('which redirect URIs may be registered', () => {
  test.each([
    'https://app.example/callback',
    'https://app.example',
    'https://app.example:8443/cb?tenant=a%20b',
    'https://xn--bcher-kva.example/cb',
    'https://[2001:db8::1]/cb',
    'http://127.0.0.1/cb',
    'http://127.0.0.1:49152/cb',
    'http://[::1]:3000/cb',
    'http://localhost:3000/callback',
  ])('%s, for any kind of application', (uri) => {
    expect(redirectUriFault(uri, 'web')).toBeUndefined();
    expect(redirectUriFault(uri, 'native')).toBeUndefined();
  });

  test.each(['com.example.app:/callback', 'com.example.app://callback', 'com.example-1.app:/cb?x=1'])(
    '%s, for native applications only',
    (uri) => {
      expect(redirectUriFault(uri, 'native')).toBeUndefined();
      expect(redirectUriFault(uri, 'web')).toContain('application_type native');
    },
  );

  test.each([
    ['', 'empty'],
    ['/callback', 'absolute'],
    ['app.example/callback', 'absolute'],
    ['https://app.example/cb#', 'fragment'],
    ['https://app.example/cb#top', 'fragment'],
    ['https://user@app.example/cb', 'user information'],
    ['https://user:secret@app.example/cb', 'user information'],
    ['https://@app.example/cb', 'user information'],
    ['https://*.app.example/cb', 'wildcard'],
    ['https://app.example/*', 'wildcard'],
    ['https://app.example/a/../cb', 'dot segments'],
    ['https://app.example/./cb', 'dot segments'],
    ['https://app.example/a/%2e%2E/cb', 'dot segments'],
    ['com.example.app:/a/../cb', 'dot segments'],
    ['https://app.example\\@evil.example/cb', 'character'],
    ['https://app.example/c b', 'character'],
    ['https://app.example/cb\n', 'character'],
    ['https://app.example/%zz', 'character'],
    ['https://bücher.example/cb', 'character'],
    ['https://APP.example/cb', 'must write its host as app.example'],
    ['https://app.example:/cb', 'must write its host as app.example'],
    ['http://127.1/cb', 'must write its host as 127.0.0.1'],
    ['http://0x7f.0.0.1/cb', 'must write its host as 127.0.0.1'],
    ['http://[0::1]/cb', 'must write its host as [::1]'],
    ['http:///cb', 'must write its host as cb'],
    ['http://app.example/cb', 'must be https'],
    ['http://127.0.0.2/cb', 'must be https'],
    ['http://0.0.0.0/cb', 'must be https'],
    ['http://localhost.example/cb', 'must be https'],
    ['http:/127.0.0.1/cb', 'must be https'],
    ['HTTPS://app.example/cb', 'must be https'],
    ['javascript:alert(1)', 'must be https'],
    ['data:text/html,x', 'must be https'],
    ['file:///etc/passwd', 'must be https'],
    ['app:/callback', 'must be https'],
    ['ftp://app.example/cb', 'must be https'],
    [`https://app.example/${'a'.repeat(2048)}`, 'longer than 2048'],
  ])('not %s (%s)', (uri, reason) => {
    expect(redirectUriFault(uri, 'native')).toContain(reason);
  });

  test('whatever is allowed survives the URL parser of a browser with its host and path unchanged', () => {
    const piece = fc.constantFrom(
      '.',
      '..',
      '%2e',
      '%2E.',
      'cb',
      '/',
      '\\',
      '@',
      ':',
      '?',
      '#',
      'a',
      '%41',
      '[',
      ']',
      '*',
    );
    const uris = fc.tuple(
      fc.constantFrom('https://', 'http://', 'https:/', 'HTTPS://'),
      fc.constantFrom('app.example', '127.0.0.1', '127.1', '[::1]', 'localhost', 'user@app.example'),
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
    );
    fc.assert(
      fc.property(uris, ([scheme, host, rest]) => {
        const uri = scheme + host + rest;
        if (redirectUriFault(uri, 'native') !== undefined) return;
        const url = new URL(uri);
        const [, shownHost, shownPath] = /^https?:\/\/([^/:?[]+|\[[^\]]*\])(?::\d+)?([^?]*)/.exec(
          uri,
        ) as RegExpExecArray;
        expect(url.hostname).toBe(shownHost);
        expect(url.pathname).toBe(shownPath === '' ? '/' : shownPath);
        expect(url.username + url.password + url.hash).toBe('');
      }),
      { numRuns: 3000 },
    );
  });
});

describe('which redirect URI asked for is the one registered', () => {
  test.each([
    ['http://127.0.0.1/cb', 'http://127.0.0.1:49152/cb'],
    ['http://127.0.0.1:8080/cb', 'http://127.0.0.1/cb'],
    ['http://127.0.0.1:8080/cb?x=1', 'http://127.0.0.1:1/cb?x=1'],
    ['http://[::1]:8080/cb', 'http://[::1]:65535/cb'],
    ['http://127.0.0.1', 'http://127.0.0.1:3000'],
  ])('%s lets the port differ: %s (RFC 8252 section 7.3)', (registered, asked) => {
    expect(matchesRedirectUri(registered, asked)).toBe(true);
  });

  test.each([
    ['http://127.0.0.1/cb', 'http://[::1]/cb'],
    ['http://127.0.0.1/cb', 'http://localhost/cb'],
    ['http://127.0.0.1/cb', 'http://127.1/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.01/cb'],
    ['http://127.0.0.1/cb', 'http://127.000.000.001/cb'],
    ['http://127.0.0.1/cb', 'http://0x7f.0.0.1/cb'],
    ['http://127.0.0.1/cb', 'http://2130706433/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:0/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:65536/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:80:80/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:@evil.example/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:80@evil.example/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1.evil.example/cb'],
    ['http://127.0.0.1/cb', 'https://127.0.0.1:8080/cb'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:8080/cb/'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:8080/cb?x=1'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:8080/cb#x'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:8080/%63b'],
    ['http://127.0.0.1/cb', 'http://127.0.0.1:8080/CB'],
    ['http://127.0.0.1', 'http://127.0.0.1:8080/'],
    ['http://[::1]/cb', 'http://[0:0:0:0:0:0:0:1]/cb'],
    ['http://[::1]/cb', 'http://[::ffff:127.0.0.1]/cb'],
    ['http://localhost:3000/cb', 'http://localhost:3001/cb'],
    ['https://127.0.0.1:8443/cb', 'https://127.0.0.1:8444/cb'],
    ['https://app.example/cb', 'https://APP.example/cb'],
    ['https://app.example/cb', 'https://app.example:443/cb'],
    ['https://app.example/cb', 'https://app.example/cb?'],
    ['https://app.example', 'https://app.example/'],
    ['com.example.app:/cb', 'com.example.app://cb'],
  ])('%s is not %s', (registered, asked) => {
    expect(matchesRedirectUri(registered, asked)).toBe(false);
  });

  const port = fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined });
  const path = fc
    .array(fc.constantFrom('cb', 'a', 'callback', 'A'), { maxLength: 3 })
    .map((segments) => segments.map((segment) => `/${segment}`).join(''));
  const query = fc.constantFrom('', '?a=1', '?a=1&b=2');
  const registeredUri = fc.tuple(
    fc.constantFrom(
      'http://127.0.0.1',
      'http://[::1]',
      'http://localhost',
      'https://app.example',
      'https://127.0.0.1',
    ),
    port,
    path,
    query,
  );
  const write = (host: string, number: number | undefined, rest: string) =>
    number === undefined ? host + rest : `${host}:${number}${rest}`;

  test('every URI matches itself, and loopback literals match themselves on every port', () => {
    fc.assert(
      fc.property(registeredUri, port, ([host, own, p, q], other) => {
        const registered = write(host, own, p + q);
        const literal = host === 'http://127.0.0.1' || host === 'http://[::1]';
        expect(matchesRedirectUri(registered, registered)).toBe(true);
        expect(matchesRedirectUri(registered, write(host, other, p + q))).toBe(literal || own === other);
      }),
    );
  });

  test('no near miss ever matches', () => {
    const tricks: ((uri: string) => string)[] = [
      (uri) => uri.replace('://', '://user@'),
      (uri) => uri.replace('://', '://user:secret@'),
      (uri) => uri.replace(/(:\/\/[^/?]*)/, '$1@evil.example'),
      (uri) => uri.replace(/(:\/\/[^/?]*)/, '$1.evil.example'),
      (uri) => uri.replace(/(:\/\/)[^/?]*/, '$1evil.example'),
      (uri) => uri.replace(/(:\/\/[^/?]*)/, '$1\\'),
      (uri) => uri.replace(/(:\/\/[^/?]*)/, '$1/..'),
      (uri) => uri.replace('127.0.0.1', '127.1').replace('[::1]', '[0::1]').replace('localhost', 'LOCALHOST'),
      (uri) =>
        uri.replace('127.0.0.1', '127.0.0.2').replace('[::1]', '[::2]').replace('localhost', '127.0.0.1'),
      (uri) => (uri.startsWith('https') ? uri.replace('https', 'http') : uri.replace('http', 'https')),
      (uri) => uri.replace(/^http/, 'HTTP'),
      (uri) => `${uri}/`,
      (uri) => `${uri}x`,
      (uri) => `${uri}%00`,
      (uri) => `${uri} `,
      (uri) => ` ${uri}`,
      (uri) => `${uri}#`,
      (uri) => `${uri}${uri.includes('?') ? '&' : '?'}injected=1`,
      (uri) => uri.replace(/[a-z](?=[^a-z]*$)/i, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
      (uri) => uri.slice(0, -1),
    ];
    const loopbackPort = /^http:\/\/(?:127\.0\.0\.1|\[::1\])(?::\d+)?(?=[/?]|$)/;
    fc.assert(
      fc.property(registeredUri, fc.constantFrom(...tricks), port, ([host, own, p, q], trick, other) => {
        const registered = write(host, own, p + q);
        const asked = trick(write(host, other, p + q));
        const anyPort = (uri: string) => uri.replace(loopbackPort, (match) => match.replace(/:\d+$/, ''));
        fc.pre(anyPort(asked) !== anyPort(registered));
        expect(matchesRedirectUri(registered, asked)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test('what matches at all, and is not equal, goes to the same loopback literal with the same path and query', () => {
    const text = fc.array(
      fc.constantFrom('http://', '127.0.0.1', '[::1]', ':', '80', '/', 'cb', '?', '@', '\\', '#', '.', ' '),
      {
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [registered, asked] = [a.join(''), b.join('')];
        if (registered === asked || !matchesRedirectUri(registered, asked)) return;
        fc.pre(URL.canParse(registered) && URL.canParse(asked));
        const [left, right] = [new URL(registered), new URL(asked)];
        expect(right.hostname).toBe(left.hostname);
        expect(right.pathname + right.search).toBe(left.pathname + left.search);
      }),
      { numRuns: 2000 },
    );
  });
});
