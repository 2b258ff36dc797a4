// Owns what parts of requests should not be: texts, JSON, headers and bytes that have tripped up servers before, among random ones.

import fc from 'fast-check';

/** Larger than any body that is read (`server.body_limit`). */
const OVERSIZED = 70_000;

/** Names that mean something to JavaScript, to the protocol, or to nobody. */
const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'client_id',
  'resource',
  'scope',
  'id',
  '',
  ' ',
  '%00',
];

const TEXTS = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\r\nSet-Cookie: a=b',
  '"><script>alert(1)</script>',
  "' or 1=1 --",
  '<%= 7*7 %>',
  '../../etc/passwd',
  '\u202eevil',
  '\ufeff',
  '\u{1f600}'.repeat(300),
  'ß'.repeat(1024),
  'a'.repeat(5000),
  'https://evil.example/',
  'javascript:alert(1)',
  'http://[::1',
  'urn:',
  '__proto__',
  'constructor',
  'NaN',
  'Infinity',
  '-1',
  '0',
  '1e400',
  '1.5',
  '2147483648',
  '9223372036854775807',
  '9223372036854775808',
  '99999999999999999999999999',
  'null',
  'true',
  '[]',
  '{}',
  '{"userinfo":{"a\\u0000b":null}}',
  '{"userinfo":'.repeat(500),
  'e30.e30.e30',
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhXHUwMDAwYiJ9.',
  `rt_${'A'.repeat(43)}`,
];

/** Raw escapes that decode to no text. */
const BROKEN = ['%', '%f', '%zz', '%ff', '%c3%28', '%ed%a0%80', '%f8%88%80%80', '%00', '+', '&', '=', ';'];

/** Deeper than any recursion goes. */
const DEEP = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;

const JSONS = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e308',
  '1e999',
  '-1e999',
  '9007199254740993',
  '9223372036854775808',
  '99999999999999999999999999',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"a\\udc00b"',
  '[]',
  '{}',
  '[[]]',
  '[null]',
  '[1]',
  '["\\ud800"]',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}',
  '{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}',
  '{"keys":{"length":1}}',
  `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","more":${DEEP}}]}`,
  '{"a":1,"a":2}',
  DEEP,
  `${'{"a":'.repeat(8000)}1${'}'.repeat(8000)}`,
  `[${'"a",'.repeat(5000)}"a"]`,
  'undefined',
  '{',
  "'a'",
  '',
];

export const text = fc.oneof(
  fc.constantFrom(...TEXTS),
  fc.string({ unit: 'binary', maxLength: 30 }),
  // Three bytes each, in no order that could be compressed: more than an index takes, within many a length limit.
  fc.string({
    unit: fc.integer({ min: 0x4e00, max: 0x9fff }).map((code) => String.fromCharCode(code)),
    minLength: 900,
    maxLength: 1000,
  }),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
);

export const rawValue = fc.oneof(
  { weight: 4, arbitrary: text.map(encoded) },
  { weight: 1, arbitrary: fc.constantFrom(...BROKEN) },
);

export const rawName = fc.oneof(fc.constantFrom(...NAMES), rawValue);

export const jsonText = fc.oneof(
  fc.constantFrom(...JSONS),
  text.map((value) => JSON.stringify(value)),
  fc.json({ maxDepth: 4 }),
);

/** What a header can carry over a socket: visible Latin-1. */
export const headerText = fc.oneof(
  fc.constantFrom(
    '',
    'Basic',
    'Basic !!!!',
    `Basic ${btoa('a:b:c')}`,
    `Basic ${btoa('%00:b')}`,
    `Basic ${btoa('%ff:%')}`,
    `Basic ${btoa(':')}`,
    'Bearer',
    'Bearer a b',
    'Bearer e30.e30.e30',
    'Digest username="a"',
    '*/*',
    'text/html',
    'null',
    'http://[::1',
    'a=b; c',
    'authserver_session=; authserver_browser=%00',
    '__Host-authserver_session=a; __Host-authserver_session=b; __Host-authserver_browser="',
    '127.0.0.1, ::1, unknown',
    'gzip',
    'a'.repeat(8000),
  ),
  fc.string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((code) => code < 0x7f || code > 0x9f)
      .map((code) => String.fromCharCode(code)),
    maxLength: 60,
  }),
);

export const HEADERS = [
  'authorization',
  'cookie',
  'origin',
  'accept',
  'user-agent',
  'referer',
  'x-forwarded-for',
  'content-encoding',
  'if-none-match',
  'range',
];

export const TYPES = [
  '',
  'text/plain',
  'application/json',
  'application/json; charset=utf-16',
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded; charset=latin1',
  'multipart/form-data; boundary=a',
  'multipart/form-data',
  'application/xml',
  'a/b/c',
  '/',
  ';',
];

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

export const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
  jsonText.map((json) => Buffer.from(json)),
  rawValue.map((value) => Buffer.from(`a=${value}`)),
  fc
    .constantFrom('', '&&&', '=', 'a=%', '{"a":', '\ufeff{}', '[]', 'null', '"text"', '1e999')
    .map((piece) => Buffer.from(piece)),
  fc.constantFrom('a=', '{"a":"').map((head) => Buffer.from(head + 'a'.repeat(OVERSIZED))),
  fc.constant(Buffer.from('a=b&'.repeat(200))),
  fc.constant(Buffer.from([0x61, 0x3d, 0xff, 0xfe, 0xc3])),
  fc.constant(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
);

/** Text as a form carries it; what has no encoding becomes U+FFFD. */
export function encoded(value: string): string {
  return encodeURIComponent(value.toWellFormed());
}
