/** The making of an archive, seen from the server's side: a thread does it, which asks for the keys when it has the rows. */
import type { Written } from '../../archive/writer.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Packer } from '../../ops/backup/pack.ts';
import { unpackFailure } from '../../store/failure-parcel.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import type { FromPacker, PackJob, ToPacker } from './pack-messages.ts';
import { runThread } from './thread.ts';

const WORKER = new URL('./pack-worker.ts', import.meta.url);

/** @param signingKey PKCS #8 of the key that signs the archive */
export function makePacker(config: Config, program: string, signingKey: () => string): Packer {
  const storage = storageChoice(config);
  return (request, asks, { progress, signal }) =>
    runThread<PackJob, FromPacker, ToPacker, Written>(
      {
        file: WORKER,
        name: 'backup',
        job: { request, storage, program, signingKey: signingKey() },
        nice: config.backup.nice,
        hear(message, thread) {
          if ('progress' in message) progress(message.progress);
          else if ('begun' in message) asks.begun();
          else if ('rows' in message)
            asks.tail(message.rows).then((tail) => thread.say({ tail }), thread.reject);
          else if ('written' in message) thread.resolve(message.written);
          else thread.reject(unpackFailure(message.failure));
        },
        stopped: () => new Failure('interrupted', 'The backup was stopped; nothing of it is left.'),
      },
      signal,
    );
}
