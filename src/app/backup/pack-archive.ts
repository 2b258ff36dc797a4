/** An archive of a database, from its snapshot to a file: what the thread does that makes backups. */
import { open } from 'node:fs/promises';
import { type RowPart, type Written, writeArchive } from '../../archive/writer.ts';
import { systemClock } from '../../kernel/clock.ts';
import { Failure, meansFull } from '../../kernel/errors.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { Watch } from '../../kernel/watch.ts';
import type { KeyRows, PackAsks, PackProgress } from '../../ops/backup/pack.ts';
import type { Snapshot } from '../../store/snapshot.ts';
import { readSnapshot } from '../snapshots.ts';
import type { PackJob } from './pack-messages.ts';
import { signingKeyOf } from './signing-key.ts';

/** Failures: those of `Packer`. */
export async function packArchive(
  { request, storage, signingKey, program }: PackJob,
  asks: PackAsks,
  { progress, signal }: Watch<PackProgress>,
): Promise<Written> {
  await using snapshot = await readSnapshot(storage, { clock: systemClock, signal });
  asks.begun();
  const { head } = snapshot;
  if (head.deployment.id !== request.deploymentId)
    throw new Failure('refused', 'The database has become that of another deployment.');
  const of = head.tables.reduce((sum, { rows }) => sum + rows, 0);
  const keyRows = new KeyRowReader();
  const archive = writeArchive({
    head: {
      id: request.id,
      sequence: request.sequence,
      deploymentId: request.deploymentId,
      restoreEpoch: head.deployment.restore_epoch,
      program,
      madeAt: request.madeAt,
      schema: head.steps,
      tables: head.tables,
      recoveryPoint: { from: head.from, to: head.to, audit: head.audit },
      tags: request.tags,
    },
    parts: keyRows.watch(snapshot),
    tail: () => asks.tail(keyRows.rows()),
    encryption: request.encryption,
    signer: signingKeyOf(signingKey),
    random: systemRandom,
    progress: ({ rows, bytes }) => progress({ rows, of, bytes }),
    signal,
  });
  await writeFile(request.file, archive);
  return archive.written();
}

async function writeFile(file: string, source: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      for await (const bytes of source) await handle.writeFile(bytes);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asSpoolFailure(error, file);
  }
}

function asSpoolFailure(error: unknown, file: string): unknown {
  if (error instanceof Failure || !(error instanceof Error && 'syscall' in error && 'code' in error))
    return error;
  const code = String(error.code);
  const isFull = meansFull(code);
  return new Failure(
    isFull ? 'unavailable' : 'configuration',
    `The archive cannot be put together at ${file} (${code}).`,
    {
      hint: isFull
        ? 'Make room in the state directory: an archive takes about a quarter of the database while it is made.'
        : 'See that the state directory belongs to the user of this server.',
      cause: error,
    },
  );
}

/** Lets rows pass, and keeps of those that need keys what they need. */
class KeyRowReader {
  readonly #lines = new Map<string, object[]>([
    ['signing_keys', []],
    ['data_keys', []],
    ['private_keys', []],
  ]);

  async *watch(snapshot: Snapshot): AsyncGenerator<RowPart> {
    for await (const part of snapshot.parts()) {
      const kept = this.#lines.get(part.table);
      if (kept && part.kind === 'rows') kept.push(...parseLines(part.bytes));
      yield part;
    }
  }

  rows(): KeyRows {
    const of = <Row>(table: string) => (this.#lines.get(table) ?? []) as Row[];
    type Signing = KeyRows['signingKeys'][number];
    type Data = KeyRows['dataKeys'][number];
    type Private = KeyRows['privateKeys'][number];
    return {
      signingKeys: of<Signing>('signing_keys').map(({ kid, state, key_store, public_jwk_json }) => ({
        kid,
        state,
        key_store,
        public_jwk_json,
      })),
      dataKeys: of<Data>('data_keys').map(({ id, master_key_id }) => ({ id, master_key_id })),
      privateKeys: of<Private>('private_keys').map(({ kid, data_key_id }) => ({ kid, data_key_id })),
    };
  }
}

function parseLines(bytes: Uint8Array): object[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as object]));
}
