import { describe, expect, it } from 'vitest';
import { clientRow } from '../conformance/rows.ts';
import type { ClientRecord } from '../records.ts';
import { narrowed, narrowingOf } from './client-narrowing.ts';

const OLD_KEY = { kty: 'EC', x: 'old' };
const KEY = { kty: 'EC', x: 'kept' };
const NEW_KEY = { kty: 'EC', x: 'new' };
const former = clientRow({
  redirect_uris_json: '["https://a","https://b"]',
  grant_types_json: '["authorization_code","refresh_token"]',
  audiences_json: '["https://api"]',
  jwks_json: JSON.stringify({ keys: [OLD_KEY, KEY] }),
  scope: 'read write',
  require_pkce: 0,
  skip_consent: 1,
});

/** What becomes of the former row when the change is done to it again. */
const again = (changes: Partial<ClientRecord>, on: ClientRecord = former) => {
  const narrowing = narrowingOf(former, { ...former, ...changes });
  return narrowing && narrowed(on, narrowing);
};

describe('what a change takes away from a client', () => {
  it('is nothing where things only come, or are written otherwise', () => {
    expect(again({ name: 'Another', redirect_uris_json: '["https://c", "https://b", "https://a"]' })).toBe(
      undefined,
    );
    expect(again({ scope: '', access_token_lifetime: 1, updated_at: 0 })).toBe(undefined);
    expect(
      again({ scope: 'write read more', jwks_json: JSON.stringify({ keys: [KEY, OLD_KEY, NEW_KEY] }) }),
    ).toBe(undefined);
  });

  it('is taken again, and what came with it is not given', () => {
    const keys = JSON.stringify({ keys: [NEW_KEY, KEY] });
    expect(again({ redirect_uris_json: '["https://a","https://evil"]' })).toEqual({
      ...former,
      redirect_uris_json: '["https://a"]',
    });
    expect(again({ jwks_json: keys })).toEqual({ ...former, jwks_json: JSON.stringify({ keys: [KEY] }) });
    expect(again({ jwks_json: null })).toEqual({ ...former, jwks_json: null });
    expect(again({ audiences_json: '[]', grant_types_json: '["refresh_token"]' })).toEqual({
      ...former,
      audiences_json: '[]',
      grant_types_json: '["refresh_token"]',
    });
    expect(again({ scope: 'read admin' })).toEqual({ ...former, scope: 'read' });
    expect(again({ require_pkce: 1, skip_consent: 0 })).toEqual({
      ...former,
      require_pkce: 1,
      skip_consent: 0,
    });
  });

  it('never leaves an empty scope, which would be no ceiling: the client is disabled instead', () => {
    expect(again({ scope: 'admin' })).toEqual({ ...former, status: 'disabled' });
    const open = { ...former, scope: '' };
    const narrowing = narrowingOf(open, { ...open, scope: 'read' });
    expect(narrowing && narrowed(open, narrowing)).toEqual({ ...open, scope: 'read' });
  });

  it('is everything where a client that acts for itself may have no scope any more: it stays, with none', () => {
    const service = { ...former, grant_types_json: '["client_credentials"]' };
    const narrowing = narrowingOf(service, { ...service, scope: '' });
    expect(narrowing).toEqual({ scope: ['read', 'write'] });
    expect(narrowing && narrowed(service, narrowing)).toEqual({ ...service, scope: '' });
    const none = { ...service, scope: '' };
    expect(narrowingOf(none, { ...none, scope: 'read' })).toBe(undefined);
    // An older log may have it.
    expect(narrowed(none, { ceiling: 'read' })).toEqual(none);
  });

  it('is its own part where a client acts for users too, of whom it may then ask anything', () => {
    const both = { ...former, grant_types_json: '["authorization_code","client_credentials"]' };
    const forUsers = { ...both, grant_types_json: '["authorization_code"]' };
    const freed = narrowingOf(both, { ...both, scope: '' });
    expect(freed && narrowed(both, freed)).toEqual(forUsers);
    const open = { ...both, scope: '' };
    const bounded = narrowingOf(open, { ...open, scope: 'read' });
    expect(bounded && narrowed(open, bounded)).toEqual({ ...forUsers, scope: 'read' });
  });

  it('is all but the new scope where users were asked for anything, also of a row from before that', () => {
    const open = { ...former, scope: '' };
    const narrowing = narrowingOf(open, { ...open, scope: 'read admin' });
    expect(narrowing && narrowed(former, narrowing)).toEqual({ ...former, scope: 'read' });
  });

  it('is the way in without a proof, and each key of a client that proves itself otherwise', () => {
    const open = { ...former, token_endpoint_auth_method: 'none' as const };
    const proven = narrowingOf(open, { ...open, token_endpoint_auth_method: 'client_secret_post' });
    expect(proven && narrowed(open, proven)).toEqual({
      ...open,
      token_endpoint_auth_method: 'client_secret_post',
    });
    const byKey = { ...former, token_endpoint_auth_method: 'private_key_jwt' as const };
    expect(proven && narrowed(byKey, proven)).toEqual(byKey);
    const otherwise = narrowingOf(byKey, { ...byKey, token_endpoint_auth_method: 'client_secret_basic' });
    expect(otherwise && narrowed(byKey, otherwise)).toEqual({ ...byKey, jwks_json: null });
    expect(narrowingOf(byKey, { ...byKey, token_endpoint_auth_method: 'none' })).toEqual({
      keys: [OLD_KEY, KEY],
    });
    expect(narrowingOf(former, { ...former, token_endpoint_auth_method: 'none' })).toBe(undefined);
  });

  it('leaves a row alone that has none of it', () => {
    const other = clientRow({ redirect_uris_json: '["https://x"]' });
    expect(again({ redirect_uris_json: '["https://a"]' }, other)).toEqual(other);
  });
});
