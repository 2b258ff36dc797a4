/** The thread in which an SQLite database is read or filled as a whole. */
import { workerData } from 'node:worker_threads';
import type { SnapshotJob } from '../snapshot-client.ts';
import { SnapshotLoading } from '../snapshot-load.ts';
import { SnapshotReading } from '../snapshot-read.ts';
import { serveSnapshots } from '../snapshot-thread.ts';
import type { SqliteOptions } from './connect.ts';
import { SqliteRowReader } from './snapshot-reader.ts';
import { SqliteRowWriter } from './snapshot-writer.ts';

const work = workerData as SnapshotJob<SqliteOptions>;
serveSnapshots(
  work.job === 'read'
    ? new SnapshotReading(new SqliteRowReader(work.options), work.tables)
    : new SnapshotLoading(new SqliteRowWriter(work.options), work.steps),
);
