import { Failure } from '../../kernel/errors.ts';
import type { InitialAccessTokenRecord } from '../records.ts';
import type { RegistrationStore } from '../store.ts';
import { addClient } from './clients.ts';
import { columns, statement } from './statement.ts';
import { read, type Verbs, write } from './verb.ts';

type Live = { token_hash: string; now: number };

const insertToken = statement<InitialAccessTokenRecord>('registrations.insertToken')((db, token) =>
  db
    .insertInto('initial_access_tokens')
    .values(columns(token, ['id', 'token_hash', 'note', 'scope', 'uses_left', 'created_at', 'expires_at'])),
);
const findToken = statement<Live>('registrations.findToken')((db, { token_hash, now }) =>
  db
    .selectFrom('initial_access_tokens')
    .selectAll()
    .where('token_hash', '=', token_hash)
    .where('expires_at', '>', now)
    .where((where) => where.or([where('uses_left', 'is', null), where('uses_left', '>', 0)])),
);
const useToken = statement<Live>('registrations.useToken')((db, { token_hash, now }) =>
  db
    .updateTable('initial_access_tokens')
    .set((set) => ({ uses_left: set('uses_left', '-', 1) }))
    .where('token_hash', '=', token_hash)
    .where('expires_at', '>', now)
    .where((where) => where.or([where('uses_left', 'is', null), where('uses_left', '>', 0)])),
);

export const registrations: Verbs<RegistrationStore> = {
  saveInitialToken: write(async (db, { token }) => {
    await db.run(insertToken, token);
  }),
  register: write(async (db, { client, secret, initial_token_hash, now }) => {
    if (
      initial_token_hash !== null &&
      (await db.run(useToken, { token_hash: initial_token_hash, now })) === 0
    ) {
      return { outcome: 'token_spent' };
    }
    if (!(await addClient(db, client, secret))) {
      throw new Failure('conflict', 'A client with this id exists already.');
    }
    return { outcome: 'registered' };
  }),
  findInitialToken: read(async (db, input) => db.first(findToken, input)),
};
