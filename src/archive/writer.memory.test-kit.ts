/** Writes an archive of 300 MB of rows to nowhere, with --expose-gc, and prints how much memory and how long a hold of the loop it took. */
import { createHash } from 'node:crypto';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { systemRandom } from '../kernel/random.ts';
import { archiveParts, HEAD, makeSigner } from './archive.test-kit.ts';
import { type RowPart, writeArchive } from './writer.ts';

const CHUNKS = 340;
const ROWS = 5000;
const STRIDE = 11;
const LETTER_A = 97;
/** So often is looked at what is held. */
const PIECES_A_LOOK = 50;
let pieces = 0;

const chunk = Buffer.from(
  Array.from({ length: ROWS }, (_, row) => {
    const id = systemRandom.bytes(16).toString('hex');
    const hash = systemRandom.bytes(32).toString('base64url');
    return `${JSON.stringify({ id, hash, row, ended_at: null, status: 'active', scope: 'openid profile offline_access' })}\n`;
  }).join(''),
);

async function* parts(): AsyncGenerator<RowPart> {
  const digest = createHash('sha256');
  for (let i = 0; i < CHUNKS; i++) {
    // Other letters each time, so that it is not the same chunk again and shrinks as much as rows do.
    const letters = systemRandom.bytes(chunk.length / STRIDE);
    for (let at = 0; at < letters.length; at++) {
      const letter = chunk[at * STRIDE] ?? 0;
      if (letter >= LETTER_A && letter < LETTER_A + 26)
        chunk[at * STRIDE] = LETTER_A + ((letters[at] ?? 0) % 26);
    }
    const bytes = Buffer.from(chunk);
    digest.update(bytes);
    yield { kind: 'rows', table: 'tokens', rows: ROWS, bytes };
  }
  yield { kind: 'total', table: 'tokens', rows: CHUNKS * ROWS, digest: digest.digest('hex') };
}

const recipient = await identityToRecipient(await generateX25519Identity());
const head = { ...HEAD, tables: [{ name: 'tokens', columns: ['id'], key: ['id'] }] };
const encryption = { kind: 'age', recipients: [recipient] } as const;
const before = held();
const turns = watchTurns();
const began = performance.now();
const archive = writeArchive(archiveParts(makeSigner(), { head, encryption, parts: parts() }));
let [written, most] = [0, 0];
for await (const bytes of archive) {
  written += bytes.length;
  if (++pieces % PIECES_A_LOOK === 0) most = Math.max(most, held());
}
const seconds = (performance.now() - began) / 1000;
console.log(
  JSON.stringify({
    megabytes: archive.written().bytes / 1e6,
    writtenMegabytes: written / 1e6,
    seconds,
    cpuSeconds: process.cpuUsage().user / 1e6,
    grownMegabytes: (most - before) / 1e6,
    longestTurnMs: turns.stop(),
  }),
);

/** What is in use, garbage aside: on a busy machine the collector comes late, which says nothing of the writer. */
function held(): number {
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** How long this thread computes without looking after its timers: in time of its own, whatever else the machine does. */
function watchTurns(): { stop(): number } {
  let longest = 0;
  let before = process.threadCpuUsage();
  const timer = setInterval(() => {
    const { user, system } = process.threadCpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
    before = process.threadCpuUsage();
  }, 1);
  const stop = () => {
    clearInterval(timer);
    return longest;
  };
  return { stop };
}
