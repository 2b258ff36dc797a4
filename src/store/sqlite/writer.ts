/** The writer thread: the only place that writes to the SQLite file while a server runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { connectWriter, type SqliteOptions } from './connect.ts';
import { GroupCommit, type Job } from './group-commit.ts';

const port = parentPort;
if (!port) throw new Error('writer.ts runs as a worker thread');

const db = connectWriter(workerData as SqliteOptions);
const commits = new GroupCommit(db);

port.on('message', async (message: readonly Job[] | 'close') => {
  if (message === 'close') {
    // The reading connection is open still, so closing alone would leave the last commits beside the file, not in it.
    db.exec('pragma wal_checkpoint(truncate)');
    db.close();
    port.close();
    return;
  }
  port.postMessage(await commits.run(message));
});
port.postMessage('ready');
