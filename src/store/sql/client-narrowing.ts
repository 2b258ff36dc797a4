/**
 * What a change of a client took away from it. A narrowing names only what went, never what came: doing it again to an older
 * row of the client takes that away once more and gives nothing, whoever made the change.
 */
import type { ClientRecord } from '../records.ts';

const LISTS = [
  'redirect_uris_json',
  'post_logout_redirect_uris_json',
  'grant_types_json',
  'response_types_json',
  'audiences_json',
] as const;

export interface Narrowing {
  /** Items that went from lists, by column. */
  readonly lists?: Readonly<Record<string, readonly unknown[]>>;
  /** Public keys that went. */
  readonly keys?: readonly unknown[];
  /** Words that went from the scope. */
  readonly scope?: readonly string[];
  /** The scope that came where there was no ceiling. */
  readonly ceiling?: string;
  readonly require_pkce?: true;
  readonly asks_consent?: true;
}

/** What the client has lost on the way from one row to the other; undefined for nothing. */
export function narrowingOf(former: ClientRecord, next: ClientRecord): Narrowing | undefined {
  const lists = LISTS.map(
    (column) => [column, lost(itemsOf(former[column]), itemsOf(next[column]))] as const,
  ).filter(([, items]) => items.length > 0);
  const keys = lost(keysOf(former.jwks_json), keysOf(next.jwks_json));
  const scope = next.scope === '' ? [] : lost(wordsOf(former.scope), wordsOf(next.scope));
  const narrowing: Narrowing = {
    ...(lists.length > 0 && { lists: Object.fromEntries(lists) }),
    ...(keys.length > 0 && { keys }),
    ...(scope.length > 0 && { scope }),
    ...(former.scope === '' && next.scope !== '' && { ceiling: next.scope }),
    ...(former.require_pkce === 0 && next.require_pkce !== 0 && { require_pkce: true as const }),
    ...(former.skip_consent !== 0 && next.skip_consent === 0 && { asks_consent: true as const }),
  };
  return Object.keys(narrowing).length > 0 ? narrowing : undefined;
}

/** The client without what went. A scope of which nothing is left would be no ceiling at all: such a client is disabled. */
export function narrowed(client: ClientRecord, narrowing: Narrowing): ClientRecord {
  const { lists = {}, keys = [], scope = [], ceiling, require_pkce, asks_consent } = narrowing;
  const shorter = LISTS.filter((column) => lists[column]?.length).map(
    (column) => [column, JSON.stringify(lost(itemsOf(client[column]), lists[column] ?? []))] as const,
  );
  const words = lost(wordsOf(client.scope), scope);
  const isEmptied = client.scope !== '' && words.length === 0;
  return {
    ...client,
    ...Object.fromEntries(shorter),
    ...(keys.length > 0 && { jwks_json: withoutKeys(client.jwks_json, keys) }),
    scope: client.scope === '' ? (ceiling ?? '') : isEmptied ? client.scope : words.join(' '),
    status: isEmptied ? 'disabled' : client.status,
    require_pkce: require_pkce ? 1 : client.require_pkce,
    skip_consent: asks_consent ? 0 : client.skip_consent,
  };
}

/** Items of the first list that the other has not. */
function lost<Item>(former: readonly Item[], next: readonly unknown[]): Item[] {
  const kept = new Set(next.map((item) => JSON.stringify(item)));
  return former.filter((item) => !kept.has(JSON.stringify(item)));
}

function itemsOf(json: string): readonly unknown[] {
  const items: unknown = JSON.parse(json);
  return Array.isArray(items) ? items : [];
}

function wordsOf(scope: string): string[] {
  return scope === '' ? [] : scope.split(' ');
}

function keysOf(json: string | null): readonly unknown[] {
  const { keys } = json === null ? { keys: [] } : (JSON.parse(json) as { keys?: unknown });
  return Array.isArray(keys) ? keys : [];
}

function withoutKeys(json: string | null, keys: readonly unknown[]): string | null {
  if (json === null) return null;
  return JSON.stringify({ ...(JSON.parse(json) as object), keys: lost(keysOf(json), keys) });
}
