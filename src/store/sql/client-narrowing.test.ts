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
    expect(again({ jwks_json: null })).toEqual({ ...former, jwks_json: '{"keys":[]}' });
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

  it('leaves a row alone that has none of it', () => {
    const other = clientRow({ redirect_uris_json: '["https://x"]' });
    expect(again({ redirect_uris_json: '["https://a"]' }, other)).toEqual(other);
  });
});
