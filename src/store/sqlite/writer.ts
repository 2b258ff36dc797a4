/** The writer thread: the only place that writes to the SQLite file while a server runs. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemRandom } from '../../kernel/random.ts';
import { ChangeLog } from './change-log.ts';
import { connectWriter, type SqliteOptions } from './connect.ts';
import { type Batch, GroupCommit } from './group-commit.ts';

const port = parentPort;
if (!port) throw new Error('writer.ts runs as a worker thread');

const options = workerData as SqliteOptions;
const db = connectWriter(options);
const log = options.changeLog && new ChangeLog(db, options.changeLog, systemRandom);
const commits = new GroupCommit(db, log);

port.on('message', async (message: Batch | 'close') => {
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
