/** A process to be killed: adds users to a logged database, and says the number of each one that it was answered for. */
import { silentLog } from '../../kernel/log.ts';
import { spoolFolder } from '../../store/change-spool.ts';
import { newId, userRow } from '../../store/conformance/rows.ts';
import { openStore } from '../open-store.ts';

const [path = '', now = ''] = process.argv.slice(2);
const sqlite = { path, wal: true, changeLog: { folder: spoolFolder(path) } };
const store = await openStore({ driver: 'sqlite', sqlite }, silentLog, undefined, { now: () => Number(now) });
const run = newId('run');
for (let n = 1; ; n++) {
  const id = `${run}-${n}`;
  await store.users.create({ user: { ...userRow(), id, username: id, email: null }, password_hash: null });
  process.stdout.write(`${n}\n`);
}
