// Owns steps that no release has, for what the real ones do not do yet.

import type { Migration } from '../../src/store/migrations/migration.ts';
import { timeline } from '../../src/store/migrations/timeline.ts';

/** A step after the real ones. */
export function step(
  version: number,
  statements: Migration['statements'],
  more: Partial<Migration> = {},
): Migration {
  return { version, name: `test-${version}`, release: '9.0.0', statements, ...more };
}

export const addNickname = step(9001, ['alter table users add column nickname text']);
export const fillNickname = step(9002, [
  { fill: 'users', key: 'id', set: "nickname = username || '!'", where: 'nickname is null', batch: 2 },
]);
export const indexNickname = step(9003, ['create index users_nickname on users (nickname)']);

/** Every kind of step: in a transaction, filled in batches, an index beside writers. */
export const longTimeline: readonly Migration[] = [...timeline, addNickname, fillNickname, indexNickname];
