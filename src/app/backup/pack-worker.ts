/** The thread that makes an archive: snapshot, compression, encryption and digests, into a file of the spool. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ArchiveTail } from '../../archive/writer.ts';
import { Failure } from '../../kernel/errors.ts';
import type { PackAsks, PackProgress } from '../../ops/backup/pack.ts';
import { packFailure } from '../../store/failure-parcel.ts';
import { takeLowPriority } from './low-priority.ts';
import { packArchive } from './pack-archive.ts';
import type { FromPacker, PackJob, ToPacker } from './pack-messages.ts';

const port = parentPort;
if (!port) throw new Error('archives are made by a worker thread');
takeLowPriority();
const stopped = new AbortController();
const tail = Promise.withResolvers<ArchiveTail>();
// Nobody may wait for it any more, or nobody ever has.
tail.promise.catch(() => undefined);
const tell = (message: FromPacker) => port.postMessage(message);

port.on('message', (message: ToPacker) => {
  if (message !== 'stop') {
    tail.resolve(message.tail);
    return;
  }
  stopped.abort();
  tail.reject(new Failure('interrupted', 'The backup was stopped.'));
  port.close();
});

const asks: PackAsks = {
  begun: () => tell({ begun: true }),
  tail(rows) {
    tell({ rows });
    return tail.promise;
  },
};
const watch = { progress: (progress: PackProgress) => tell({ progress }), signal: stopped.signal };
packArchive(workerData as PackJob, asks, watch).then(
  (written) => tell({ written }),
  (error: unknown) => tell({ failure: packFailure(error) }),
);
