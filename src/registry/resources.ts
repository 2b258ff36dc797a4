import type { ResourceRecord } from '../store/records.ts';
import type { ResourceStore } from '../store/store.ts';

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

  async list(): Promise<readonly Resource[]> {
    return (await this.#store.list({})).map(readResource);
  }
}

export function readResource(record: ResourceRecord): Resource {
  const { scopes_json, ...rest } = record;
  return { ...rest, scopes: JSON.parse(scopes_json) };
}

export function writeResource(resource: Resource): ResourceRecord {
  const { scopes, ...rest } = resource;
  return { ...rest, scopes_json: JSON.stringify(scopes) };
}

/** Why this cannot be a resource indicator (RFC 8707 section 2: absolute URI without fragment), or undefined when it can. */
export function resourceUriFault(uri: string): string | undefined {
  if (!URL.canParse(uri)) return 'must be an absolute URI';
  if (uri.includes('#')) return 'must not have a fragment';
  if (uri.length > 1024) return 'must not be longer than 1024 characters';
  return undefined;
}
