/**
 * What a change of a client took away from it. A narrowing names only what went, never what came: doing it again to an older
 * row of the client takes that away once more and gives nothing, whoever made the change.
 *
 * A client has one scope, and where it is empty that means two things: users are asked for whatever they consent to, and a
 * client that acts for itself gets nothing. Where a row cannot say what is left of both, it loses the grant of the latter.
 */
import type { ClientRecord } from '../records.ts';

const LISTS = [
  'redirect_uris_json',
  'post_logout_redirect_uris_json',
  'grant_types_json',
  'response_types_json',
  'audiences_json',
] as const;

/** Grants by which users are asked, and by which nobody is. */
const FOR_USERS = 'authorization_code';
const FOR_ITSELF = 'client_credentials';

export interface Narrowing {
  /** Items that went from lists, by column. */
  readonly lists?: Readonly<Record<string, readonly unknown[]>>;
  /** Public keys that went. */
  readonly keys?: readonly unknown[];
  /** Words that went from the scope. */
  readonly scope?: readonly string[];
  /** The scope that came where users were asked for anything. */
  readonly ceiling?: string;
  /** How it has to prove itself where it had not to. */
  readonly proof?: ClientRecord['token_endpoint_auth_method'];
  readonly require_pkce?: true;
  readonly asks_consent?: true;
}

/** What the client has lost on the way from one row to the other; undefined for nothing. */
export function narrowingOf(former: ClientRecord, next: ClientRecord): Narrowing | undefined {
  const isFreed = former.scope !== '' && next.scope === '' && hasGrant(former, FOR_USERS);
  const kept = {
    ...next,
    ...(isFreed && { grant_types_json: without(next.grant_types_json, [FOR_ITSELF]) }),
  };
  const lists = LISTS.map(
    (column) => [column, lost(itemsOf(former[column]), itemsOf(kept[column]))] as const,
  ).filter(([, items]) => items.length > 0);
  const keys = lost(
    keysOf(former.jwks_json),
    provesByKey(former) && !provesByKey(next) ? [] : keysOf(next.jwks_json),
  );
  const scope = isFreed ? [] : lost(wordsOf(former.scope), wordsOf(next.scope));
  const isBounded = former.scope === '' && next.scope !== '' && hasGrant(former, FOR_USERS);
  const proof = next.token_endpoint_auth_method;
  const narrowing: Narrowing = {
    ...(lists.length > 0 && { lists: Object.fromEntries(lists) }),
    ...(keys.length > 0 && { keys }),
    ...(scope.length > 0 && { scope }),
    ...(isBounded && { ceiling: next.scope }),
    ...(former.token_endpoint_auth_method === 'none' && proof !== 'none' && { proof }),
    ...(former.require_pkce === 0 && next.require_pkce !== 0 && { require_pkce: true as const }),
    ...(former.skip_consent !== 0 && next.skip_consent === 0 && { asks_consent: true as const }),
  };
  return Object.keys(narrowing).length > 0 ? narrowing : undefined;
}

/** The client without what went. */
export function narrowed(client: ClientRecord, narrowing: Narrowing): ClientRecord {
  const { lists = {}, keys = [], proof, require_pkce, asks_consent } = narrowing;
  const shorter = LISTS.filter((column) => lists[column]?.length).map(
    (column) => [column, without(client[column], lists[column] ?? [])] as const,
  );
  const shortened = { ...client, ...Object.fromEntries(shorter) };
  return {
    ...shortened,
    ...narrowedScope(shortened, narrowing),
    ...(keys.length > 0 && { jwks_json: withoutKeys(client.jwks_json, keys) }),
    ...(client.token_endpoint_auth_method === 'none' && proof && { token_endpoint_auth_method: proof }),
    require_pkce: require_pkce ? 1 : client.require_pkce,
    skip_consent: asks_consent ? 0 : client.skip_consent,
  };
}

function narrowedScope(client: ClientRecord, { scope = [], ceiling }: Narrowing): Partial<ClientRecord> {
  const isForUsers = hasGrant(client, FOR_USERS);
  if (client.scope === '') {
    if (ceiling === undefined || !isForUsers) return {};
    // By itself it could have nothing, and must not get what users may be asked for.
    return { scope: ceiling, grant_types_json: without(client.grant_types_json, [FOR_ITSELF]) };
  }
  const left = lost(wordsOf(client.scope), scope);
  const words = ceiling === undefined ? left : left.filter((word) => wordsOf(ceiling).includes(word));
  // For users an empty scope would be no ceiling at all: such a client is disabled.
  return words.length === 0 && isForUsers ? { status: 'disabled' } : { scope: words.join(' ') };
}

function hasGrant({ grant_types_json }: ClientRecord, grant: string): boolean {
  return itemsOf(grant_types_json).includes(grant);
}

function provesByKey({ token_endpoint_auth_method }: ClientRecord): boolean {
  return token_endpoint_auth_method === 'private_key_jwt';
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

function without(json: string, items: readonly unknown[]): string {
  return JSON.stringify(lost(itemsOf(json), items));
}

/** Null where none is left: a set has at least one. */
function withoutKeys(json: string | null, keys: readonly unknown[]): string | null {
  const left = lost(keysOf(json), keys);
  return json === null || left.length === 0
    ? null
    : JSON.stringify({ ...(JSON.parse(json) as object), keys: left });
}
