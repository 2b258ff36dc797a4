/**
 * The proof of a backup, seen from the server's side: a thread of its own restores and tries it, so that those who sign in
 * meanwhile do not wait. The bytes come from here, where the targets are.
 */
import { CannotRead } from '../../archive/format.ts';
import type { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import type { Prover } from '../../ops/backup/desk.ts';
import { type Proof, troubleHere } from '../../ops/verify/proof.ts';
import { packFailure, unpackFailure } from '../../store/failure-parcel.ts';
import type { Config } from '../config.ts';
import { cancelled } from './prove-bench.ts';
import type { FromProver, ProofJob, ToProver } from './prove-messages.ts';
import { runThread, type Thread } from './thread.ts';

const WORKER = new URL('./prove-worker.ts', import.meta.url);

export function makeProver(config: Config, log: Log): Prover {
  return async ({ archive, ...subject }, { signal, progress }) => {
    const source = archive[Symbol.asyncIterator]();
    let turn = Promise.resolve();
    const hear = (message: FromProver, thread: Thread<ToProver, Proof>) => {
      if ('wants' in message) turn = turn.then(() => supply(source, thread));
      else if ('step' in message) progress(message.step);
      else if ('level' in message) log[message.level](message.fields, message.text);
      else if ('proof' in message) thread.resolve(message.proof);
      else thread.reject(failureOf(message));
    };
    const job: ProofJob = { config, subject };
    try {
      const { nice } = config.backup;
      const task = { file: WORKER, name: 'proof', job, nice, hear, stopped: cancelled };
      return await runThread(task, signal);
    } finally {
      await turn;
      await source.return?.();
    }
  };
}

async function supply(source: AsyncIterator<Uint8Array>, thread: Thread<ToProver, Proof>): Promise<void> {
  try {
    const { done, value } = await source.next();
    if (done) return thread.say({ bytes: null });
    // Of its own, for what is shared with other buffers can't be given away.
    const bytes = new Uint8Array(value);
    thread.say({ bytes }, [bytes.buffer]);
  } catch (error) {
    thread.say({ broken: packFailure(troubleHere(error) ?? error) });
  }
}

function failureOf({ failure, cannotRead }: Extract<FromProver, { failure: unknown }>): Failure {
  const unpacked = unpackFailure(failure);
  if (!cannotRead) return unpacked;
  const { message, detail, hint } = unpacked;
  return new CannotRead(message, { ...(detail && { detail }), ...(hint && { hint }) });
}
