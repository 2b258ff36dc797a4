import { z } from 'zod';
import type { ResourceRecord } from '../store/records.ts';
import type { ResourceStore } from '../store/store.ts';
import { inMilliseconds, inSeconds, LONGEST_ACCESS_TOKEN, lifetime } from './lifetimes.ts';
import { parseScope } from './scopes.ts';

export interface ResourceScope {
  readonly name: string;
  /** What a person reads on the consent page. */
  readonly description: string;
}

/** A protected resource: an audience of access tokens with a catalogue of scopes. */
export interface Resource {
  readonly id: string;
  readonly uri: string;
  readonly name: string;
  readonly scopes: readonly ResourceScope[];
  /** ms; null for the client's or the server's default. */
  readonly access_token_lifetime: number | null;
  readonly created_at: number;
  readonly updated_at: number;
}

export class Resources {
  readonly #store: ResourceStore;

  constructor(store: ResourceStore) {
    this.#store = store;
  }

  async find(uri: string): Promise<Resource | undefined> {
    const record = await this.#store.findByUri({ uri });
    return record && readResource(record);
  }

  /** Those of these resources that there are, in the order asked for. */
  async findAll(uris: readonly string[]): Promise<readonly Resource[]> {
    const found = await Promise.all(uris.map((uri) => this.find(uri)));
    return found.filter((resource) => resource !== undefined);
  }

  async list(): Promise<readonly Resource[]> {
    return (await this.#store.list({})).map(readResource);
  }
}

function readResource(record: ResourceRecord): Resource {
  const { id, uri, name, scopes_json, access_token_lifetime, created_at, updated_at } = record;
  return { id, uri, name, scopes: JSON.parse(scopes_json), access_token_lifetime, created_at, updated_at };
}

export function writeResource(resource: Resource): ResourceRecord {
  const { scopes, ...rest } = resource;
  return { ...rest, scopes_json: JSON.stringify(scopes) };
}

/** What an administrator says of a resource besides its URI; the lifetime in seconds. */
const members = {
  name: z.string().min(1).max(200),
  scopes: z
    .array(
      z.strictObject({
        name: z
          .string()
          .max(128)
          .refine((name) => parseScope(name)?.length === 1, 'must be one scope token (RFC 6749 section 3.3)'),
        description: z.string().max(500).default(''),
      }),
    )
    .max(500)
    .refine(
      (scopes) => new Set(scopes.map(({ name }) => name)).size === scopes.length,
      'must name each scope once',
    ),
  access_token_lifetime: lifetime(LONGEST_ACCESS_TOKEN).nullable(),
};

/** What may change of a resource; members that are absent stay as they are. */
export const resourceChanges = z.strictObject(members).partial();

/** What makes a resource. */
export const resourceFounding = resourceChanges.extend({
  uri: z
    .string()
    .refine((uri) => !resourceUriFault(uri), { error: ({ input }) => resourceUriFault(String(input)) }),
});

/** Makes a resource of what was said about it: named by its URI where it has no name. */
export function newResource(
  said: z.output<typeof resourceFounding>,
  { id, now }: { readonly id: string; readonly now: number },
): Resource {
  const { uri, name = uri, scopes = [], access_token_lifetime } = said;
  return {
    ...{ id, uri, name, scopes },
    access_token_lifetime: inMilliseconds(access_token_lifetime),
    created_at: now,
    updated_at: now,
  };
}

/** The resource as it is after the changes. */
export function changedResource(
  resource: Resource,
  { access_token_lifetime: lifetime, ...changes }: z.output<typeof resourceChanges>,
  now: number,
): Resource {
  return {
    ...resource,
    ...changes,
    access_token_lifetime: lifetime === undefined ? resource.access_token_lifetime : inMilliseconds(lifetime),
    updated_at: now,
  };
}

/** The resource as an administrator sees it, with its lifetime in seconds. */
export function showResource({ access_token_lifetime, ...resource }: Resource) {
  return { ...resource, access_token_lifetime: inSeconds(access_token_lifetime) };
}

/** Why this cannot be a resource indicator (RFC 8707 section 2: absolute URI without fragment), or undefined when it can. */
export function resourceUriFault(uri: string): string | undefined {
  if (!URL.canParse(uri)) return 'must be an absolute URI';
  if (!/^[\x21-\x7e]*$/.test(uri))
    return 'must be visible ASCII: percent-encode the rest (RFC 3986 section 2.1)';
  if (uri.includes('#')) return 'must not have a fragment';
  if (uri.length > 1024) return 'must not be longer than 1024 characters';
  return undefined;
}
