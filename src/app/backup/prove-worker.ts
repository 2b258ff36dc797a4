/** The thread that restores and tries a backup. */
import { inspect } from 'node:util';
import { CannotRead } from '../../archive/format.ts';
import { systemClock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import { packFailure, unpackFailure } from '../../store/failure-parcel.ts';
import { proveBackup } from './prove.ts';
import type { FromProver, ProofJob, ToProver } from './prove-messages.ts';
import { openThreadEnd } from './thread-end.ts';

/** Pieces that are on their way at once: more would only take memory, fewer make the thread wait for the server's. */
const AHEAD = 8;

const expected: PromiseWithResolvers<Uint8Array | null>[] = [];
const { job, tell, signal } = openThreadEnd<ProofJob, FromProver, ToProver>(
  (message) => {
    const next = expected.shift();
    if ('bytes' in message) next?.resolve(message.bytes);
    else next?.reject(unpackFailure(message.broken));
  },
  () => {
    for (const { resolve } of expected.splice(0)) resolve(null);
  },
);

const log: Log = { debug: say('debug'), info: say('debug'), warn: say('warn'), error: say('warn') };
const parts = { clock: systemClock, random: systemRandom, log, signal };
proveBackup(
  job.config,
  { ...job.subject, archive: archive() },
  { ...parts, progress: (step) => tell({ step }) },
).then(
  (proof) => tell({ proof }),
  (error: unknown) => tell({ failure: packFailure(error), cannotRead: error instanceof CannotRead }),
);

async function* archive(): AsyncGenerator<Uint8Array, void> {
  const order = () => {
    const next = Promise.withResolvers<Uint8Array | null>();
    // Nobody waits any more for what was ordered after the end.
    next.promise.catch(() => undefined);
    expected.push(next);
    tell({ wants: 'bytes' });
    return next.promise;
  };
  const ordered = Array.from({ length: AHEAD }, order);
  for (;;) {
    const bytes = await ordered.shift();
    if (!bytes) return;
    ordered.push(order());
    yield bytes;
  }
}

function say(level: 'debug' | 'warn'): Log['debug'] {
  return (fields, text) => {
    try {
      tell({ level, fields, text });
    } catch {
      // What cannot travel must not look like a fault of the backup.
      tell({ level, fields: { detail: inspect(fields) }, text });
    }
  };
}
