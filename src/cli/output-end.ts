/** What becomes of a command whose output nobody takes any more. */
import { Failure } from '../kernel/errors.ts';

/**
 * Listens for as long as the process lives. Whoever closes the pipe has seen enough, as `head` has: the command goes on in
 * silence and ends with its own exit code, because it may be doing more than talking.
 * @returns what else has kept the output from being written: a full disk
 */
export function watchOutput(streams: readonly NodeJS.EventEmitter[]): () => Failure | undefined {
  let failure: Failure | undefined;
  for (const stream of streams) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return;
      failure ??= new Failure('failed', `What the command had to say could not be written (${error.code}).`, {
        hint: 'It was done all the same; only its output is missing. See whether there is room where it goes.',
        cause: error,
      });
    });
  }
  return () => failure;
}
