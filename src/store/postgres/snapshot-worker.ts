/** The thread in which a PostgreSQL database is read or filled as a whole. */
import { workerData } from 'node:worker_threads';
import type { SnapshotJob } from '../snapshot-client.ts';
import { SnapshotLoading } from '../snapshot-load.ts';
import { SnapshotReading } from '../snapshot-read.ts';
import { serveSnapshots } from '../snapshot-thread.ts';
import type { PostgresOptions } from './connect.ts';
import { PostgresRowReader } from './snapshot-reader.ts';
import { PostgresRowWriter } from './snapshot-writer.ts';

const work = workerData as SnapshotJob<PostgresOptions>;
serveSnapshots(
  work.job === 'read'
    ? new SnapshotReading(new PostgresRowReader(work.options), work.tables)
    : new SnapshotLoading(new PostgresRowWriter(work.options), work.steps),
);
