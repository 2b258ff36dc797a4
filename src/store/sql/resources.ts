import type { ResourceRecord } from '../records.ts';
import type { ResourceStore } from '../store.ts';
import { noteRevocation } from './revocations.ts';
import { columns, statement } from './statement.ts';
import { readShared, type Verbs, write } from './verb.ts';

const RESOURCE = [
  'id',
  'uri',
  'name',
  'scopes_json',
  'access_token_lifetime',
  'created_at',
  'updated_at',
] as const;

const insertResource = statement<ResourceRecord>('resources.insertResource')((db, resource) =>
  db
    .insertInto('resources')
    .values(columns(resource, RESOURCE))
    .onConflict((conflict) => conflict.doNothing()),
);
const findByUri = statement<{ uri: string }>('resources.findByUri')((db, { uri }) =>
  db.selectFrom('resources').selectAll().where('uri', '=', uri),
);
const listResources = statement<object>('resources.listResources')((db) =>
  db.selectFrom('resources').selectAll().orderBy('id'),
);
export const findResource = statement<{ id: string }>('resources.findResource')((db, { id }) =>
  db.selectFrom('resources').selectAll().where('id', '=', id),
);
export const holdResource = statement<{ id: string }>('resources.holdResource')((db, { id }, sql) =>
  db.selectFrom('resources').selectAll().where('id', '=', id).modifyEnd(sql`/*postgres for update*/`),
);
// The URI is not among them: it is the audience of tokens already issued.
export const updateResource = statement<ResourceRecord>('resources.updateResource')((db, resource) =>
  db
    .updateTable('resources')
    .set(columns(resource, ['name', 'scopes_json', 'access_token_lifetime', 'updated_at']))
    .where('id', '=', resource.id),
);
export const deleteResource = statement<{ id: string }>('resources.deleteResource')((db, { id }) =>
  db.deleteFrom('resources').where('id', '=', id),
);

/** Names of the scopes that the first has and the other has not. */
function lostScopes(former: ResourceRecord, next: ResourceRecord): readonly string[] {
  const kept = new Set(scopesOf(next).map(({ name }) => name));
  return scopesOf(former)
    .map(({ name }) => name)
    .filter((name) => !kept.has(name));
}

/** A resource without the scopes that went from it. */
export function withoutScopes(resource: ResourceRecord, names: readonly string[]): ResourceRecord {
  const left = scopesOf(resource).filter(({ name }) => !names.includes(name));
  return { ...resource, scopes_json: JSON.stringify(left) };
}

function scopesOf({ scopes_json }: ResourceRecord): readonly { readonly name: string }[] {
  return JSON.parse(scopes_json) as { name: string }[];
}

export const resources: Verbs<ResourceStore> = {
  create: write(async (db, { resource }) => ({
    outcome: (await db.run(insertResource, resource)) === 1 ? 'created' : 'taken',
  })),
  findByUri: readShared(async (db, input) => db.first(findByUri, input)),
  list: readShared(async (db) => db.all(listResources, {})),
  update: write(async (db, { resource }) => {
    const former = await db.first(holdResource, resource);
    if (!former) return { outcome: 'unknown' };
    await db.run(updateResource, resource);
    const { id: subject, updated_at: at } = resource;
    const scopes = lostScopes(former, resource);
    if (scopes.length > 0)
      await noteRevocation(db, { kind: 'resource_narrowed', at, subject, detail: { scopes } });
    return { outcome: 'updated' };
  }),
  remove: write(async (db, { id, now }) => {
    if ((await db.run(deleteResource, { id })) === 0) return { outcome: 'unknown' };
    await noteRevocation(db, { kind: 'resource_removed', at: now, subject: id });
    return { outcome: 'removed' };
  }),
};
