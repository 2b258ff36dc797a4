/** Snapshots as the rest of the product sees them: a thread of the engine's, asked for one part ahead of another. */
import type { DeploymentRecord, MigrationRecord } from './records.ts';
import type {
  Snapshot,
  SnapshotLoad,
  SnapshotPart,
  SnapshotRequest,
  SnapshotTable,
  TableTotal,
} from './snapshot.ts';
import { SnapshotThread } from './snapshot-thread.ts';
import type { AuditLink } from './store.ts';

/** How many parts are on their way at once: enough to keep both ends at work, and few enough to hold in memory. */
const AHEAD = 3;

/** What the thread is started for. */
export type SnapshotJob<Options> =
  | { readonly job: 'read'; readonly options: Options; readonly tables: readonly string[] | undefined }
  | { readonly job: 'load'; readonly options: Options; readonly steps: SnapshotLoad['steps'] };

export type ReadQuestion = 'connect' | 'begin' | 'count' | 'next';
export type LoadQuestion = 'begin' | 'finish' | { readonly part: SnapshotPart };

/** What is known as soon as the moment is fixed. */
export interface Beginning {
  readonly audit: AuditLink;
  readonly deployment: DeploymentRecord;
  readonly steps: readonly MigrationRecord[];
}

/** Fixes the moment. @param file the engine's worker */
export async function openSnapshot(
  file: URL,
  options: object,
  { clock, tables, signal }: SnapshotRequest,
): Promise<Snapshot> {
  const thread = new SnapshotThread(file, { job: 'read', options, tables }, signal);
  const ask = <Answer>(question: ReadQuestion) => thread.ask<Answer>(question);
  try {
    await ask('connect');
    const from = clock.now();
    const beginning = await ask<Beginning>('begin');
    const to = clock.now();
    const head = { from, to, ...beginning, tables: await ask<readonly SnapshotTable[]>('count') };
    return { head, parts: () => readParts(thread, ask), [Symbol.asyncDispose]: () => thread.close() };
  } catch (error) {
    await thread.close();
    throw error;
  }
}

async function* readParts(
  thread: SnapshotThread,
  ask: (question: ReadQuestion) => Promise<SnapshotPart | undefined>,
): AsyncGenerator<SnapshotPart> {
  const coming = Array.from({ length: AHEAD }, () => ask('next'));
  try {
    for (;;) {
      const part = await coming.shift();
      if (!part) return;
      coming.push(ask('next'));
      yield part;
    }
  } finally {
    await thread.close();
  }
}

/** Fills the database wholly or not at all. @param file the engine's worker */
export async function fillDatabase(
  file: URL,
  options: object,
  { steps, parts, signal }: SnapshotLoad,
): Promise<readonly TableTotal[]> {
  const thread = new SnapshotThread(file, { job: 'load', options, steps }, signal);
  const ask = <Answer>(question: LoadQuestion) => thread.ask<Answer>(question);
  try {
    await ask('begin');
    const underway: Promise<unknown>[] = [];
    for await (const part of parts) {
      underway.push(ask({ part }));
      if (underway.length >= AHEAD) await underway.shift();
    }
    await Promise.all(underway);
    return await ask<readonly TableTotal[]>('finish');
  } finally {
    await thread.close();
  }
}
