/** The making of an archive, seen from the server's side: a thread does it, which asks for the keys when it has the rows. */
import { Worker } from 'node:worker_threads';
import type { Written } from '../../archive/writer.ts';
import { Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { PackAsks, Packer, PackProgress } from '../../ops/backup/pack.ts';
import { unpackFailure } from '../../store/failure-parcel.ts';
import type { StorageChoice } from '../open-store.ts';
import type { FromPacker, PackJob, ToPacker } from './pack-messages.ts';

const WORKER = new URL('./pack-worker.ts', import.meta.url);
/** How long, ms, a thread may take to let go of the database and of its file before it is ended from outside. */
const PATIENCE = 5000;

/** @param signingKey PKCS #8 of the key that signs the archive */
export function makePacker(storage: StorageChoice, program: string, signingKey: () => string): Packer {
  return (request, asks, watch) => pack({ request, storage, program, signingKey: signingKey() }, asks, watch);
}

async function pack(
  job: PackJob,
  asks: PackAsks,
  { progress, signal }: Watch<PackProgress>,
): Promise<Written> {
  const worker = new Worker(WORKER, { workerData: job, name: 'backup' });
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  const done = Promise.withResolvers<Written>();
  const stop = () => {
    worker.postMessage('stop' satisfies ToPacker);
    done.reject(new Failure('interrupted', 'The backup was stopped; nothing of it is left.'));
  };
  worker.on('message', (message: FromPacker) => {
    if ('progress' in message) progress(message.progress);
    else if ('begun' in message) asks.begun();
    else if ('rows' in message)
      asks.tail(message.rows).then((tail) => worker.postMessage({ tail } satisfies ToPacker), done.reject);
    else if ('written' in message) done.resolve(message.written);
    else done.reject(unpackFailure(message.failure));
  });
  worker.on('error', (error) => done.reject(error));
  worker.on('exit', () => done.reject(new Failure('internal', 'The thread that makes backups is gone.')));
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await done.promise;
  } finally {
    signal.removeEventListener('abort', stop);
    worker.postMessage('stop' satisfies ToPacker);
    const late = setTimeout(() => void worker.terminate(), PATIENCE);
    await exited;
    clearTimeout(late);
  }
}
