/** The thread that makes an archive: snapshot, compression, encryption and digests, into a file of the spool. */
import type { ArchiveTail } from '../../archive/writer.ts';
import { Failure } from '../../kernel/errors.ts';
import type { PackAsks, PackProgress } from '../../ops/backup/pack.ts';
import { packFailure } from '../../store/failure-parcel.ts';
import { packArchive } from './pack-archive.ts';
import type { FromPacker, PackJob, ToPacker } from './pack-messages.ts';
import { openThreadEnd } from './thread-end.ts';

const tail = Promise.withResolvers<ArchiveTail>();
// Nobody may wait for it any more, or nobody ever has.
tail.promise.catch(() => undefined);
const { job, tell, signal } = openThreadEnd<PackJob, FromPacker, ToPacker>(
  (message) => tail.resolve(message.tail),
  () => tail.reject(new Failure('interrupted', 'The backup was stopped.')),
);

const asks: PackAsks = {
  begun: () => tell({ begun: true }),
  tail(rows) {
    tell({ rows });
    return tail.promise;
  },
};
const watch = { progress: (progress: PackProgress) => tell({ progress }), signal };
packArchive(job, asks, watch).then(
  (written) => tell({ written }),
  (error: unknown) => tell({ failure: packFailure(error) }),
);
