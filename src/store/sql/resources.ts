import type { ResourceRecord } from '../records.ts';
import type { ResourceStore } from '../store.ts';
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
// The URI is not among them: it is the audience of tokens already issued.
const updateResource = statement<ResourceRecord>('resources.updateResource')((db, resource) =>
  db
    .updateTable('resources')
    .set(columns(resource, ['name', 'scopes_json', 'access_token_lifetime', 'updated_at']))
    .where('id', '=', resource.id),
);
const deleteResource = statement<{ id: string }>('resources.deleteResource')((db, { id }) =>
  db.deleteFrom('resources').where('id', '=', id),
);

export const resources: Verbs<ResourceStore> = {
  create: write(async (db, { resource }) => ({
    outcome: (await db.run(insertResource, resource)) === 1 ? 'created' : 'taken',
  })),
  findByUri: readShared(async (db, input) => db.first(findByUri, input)),
  list: readShared(async (db) => db.all(listResources, {})),
  update: write(async (db, { resource }) => ({
    outcome: (await db.run(updateResource, resource)) === 1 ? 'updated' : 'unknown',
  })),
  remove: write(async (db, input) => ({
    outcome: (await db.run(deleteResource, input)) === 1 ? 'removed' : 'unknown',
  })),
};
