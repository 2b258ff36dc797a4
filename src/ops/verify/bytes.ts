/** Whether a file is still what its signed record says, byte by byte. */
import { createHash } from 'node:crypto';
import { asFailure } from '../../kernel/errors.ts';

/** What is wrong with it; empty when nothing is. Failures: those of the source, but for a file that is gone. */
export async function checkBytes(
  source: AsyncIterable<Uint8Array>,
  recorded: { readonly size: number; readonly sha256: string },
): Promise<readonly string[]> {
  const digest = createHash('sha256');
  let size = 0;
  try {
    for await (const bytes of source) {
      digest.update(bytes);
      size += bytes.length;
    }
  } catch (error) {
    const { code, message } = asFailure(error);
    if (code !== 'not_found') throw error;
    return [message];
  }
  if (size !== recorded.size) return [`Its archive has ${size} bytes instead of ${recorded.size}.`];
  return digest.digest('hex') === recorded.sha256
    ? []
    : ['Its archive was changed: its SHA-256 is not the one that was recorded.'];
}
