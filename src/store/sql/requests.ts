import type { AuthorizationRequestRecord } from '../records.ts';
import type { AuthorizationRequestStore } from '../store.ts';
import { columns, statement } from './statement.ts';
import { sweepRequests } from './sweep.ts';
import { read, type Verbs, write } from './verb.ts';

const insertRequest = statement<AuthorizationRequestRecord>('requests.insertRequest')((db, request) =>
  db
    .insertInto('authorization_requests')
    .values(columns(request, ['id', 'client_id', 'request_json', 'created_at', 'expires_at'])),
);
const findRequest = statement<{ id: string; now: number }>('requests.findRequest')((db, { id, now }) =>
  db.selectFrom('authorization_requests').selectAll().where('id', '=', id).where('expires_at', '>', now),
);
const updateRequest = statement<{ id: string; request_json: string; now: number }>('requests.updateRequest')(
  (db, input) =>
    db
      .updateTable('authorization_requests')
      .set({ request_json: input.request_json })
      .where('id', '=', input.id)
      .where('expires_at', '>', input.now),
);
export const deleteRequest = statement<{ id: string }>('requests.deleteRequest')((db, { id }) =>
  db.deleteFrom('authorization_requests').where('id', '=', id),
);

export const requests: Verbs<AuthorizationRequestStore> = {
  save: write(async (db, { request }) => {
    await db.run(insertRequest, request);
    await db.run(sweepRequests, { after: request.id, now: request.created_at });
  }),
  find: read(async (db, input) => db.first(findRequest, input)),
  update: write(async (db, input) => ({
    outcome: (await db.run(updateRequest, input)) === 1 ? 'updated' : 'unknown',
  })),
  remove: write(async (db, input) => {
    await db.run(deleteRequest, input);
  }),
};
