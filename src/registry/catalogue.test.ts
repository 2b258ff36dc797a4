import { expect, test } from 'vitest';
import { describeScope, SERVER, scopesByResource } from './catalogue.ts';
import type { Resource } from './resources.ts';

const resource = (uri: string, scopes: readonly string[]): Resource => ({
  id: uri,
  uri,
  name: uri,
  scopes: scopes.map((name) => ({ name, description: `May ${name}` })),
  access_token_lifetime: null,
  created_at: 1,
  updated_at: 1,
});
const notes = resource('https://notes.example', ['read', 'write', 'email']);
const tasks = resource('https://tasks.example', ['read']);

test('each token goes to the resources that know it, the rest to the server', () => {
  expect(scopesByResource('openid email read write other', [notes, tasks])).toEqual(
    new Map([
      [SERVER, ['openid', 'email', 'other']],
      [notes.uri, ['read', 'write']],
      [tasks.uri, ['read']],
    ]),
  );
  expect(scopesByResource('', [notes])).toEqual(new Map());
});

test('a scope is described by its resource, by OpenID Connect, or by its name', () => {
  expect(describeScope('read', notes)).toBe('May read');
  expect(describeScope('openid')).toBe('Know who you are');
  expect(describeScope('constructor')).toBe('constructor');
  expect(describeScope('', notes)).toBe('');
});
