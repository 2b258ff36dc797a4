/**
 * The proof of a backup: it is restored into a scratch place of the configured engine, held to its manifest, and served to a
 * canary. Nothing of it stays, and nothing of the live server is touched.
 */
import { CannotRead } from '../../archive/format.ts';
import { type OpenArchive, openArchive } from '../../archive/reader.ts';
import { Failure } from '../../kernel/errors.ts';
import type { ProofSubject } from '../../ops/backup/desk.ts';
import type { Proof } from '../../ops/verify/proof.ts';
import { stepsUpTo } from '../../store/migrations/timeline.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import type { StorageChoice } from '../open-store.ts';
import { Files } from '../restore/files.ts';
import { openScratch, scratchParent } from '../scratch.ts';
import { type Unpacked, unpackInto } from '../unpack.ts';
import { heed, makeBench, type ProofBench, type ProofParts } from './prove-bench.ts';
import { examine } from './prove-content.ts';
import { tryServer } from './prove-service.ts';

/** Connections that a trial takes on PostgreSQL at most: the live server needs them more. */
const CONNECTIONS = 3;

/**
 * Restores the backup, checks it and lets a canary use it. What is wrong with the backup is told, not thrown.
 * Failures: `refused` when nothing at hand opens it, or it is a newer program's; `unavailable` when the target or the
 * scratch place does not answer; `configuration` when there can be no scratch place; `interrupted`.
 */
export async function proveBackup(config: Config, subject: ProofSubject, parts: ProofParts): Promise<Proof> {
  const choice = scratchChoice(config);
  const parent = scratchParent(config);
  if (choice.driver === 'sqlite') await checkRoom(parent, subject.unpackedSize ?? 0);
  await using scratch = await openScratch(choice, parent);
  const bench = makeBench(config, scratch, parts);
  const { findings } = bench;
  const began = performance.now();
  bench.begin('restoring into a scratch database');
  const unpacked = await restore(subject, bench);
  const examined = unpacked && (await examine(unpacked, bench));
  const done = examined ? await tryServer(examined, bench) : performance.now();
  heed(bench.signal);
  const rto_ms = Math.round(done - began);
  return { passed: findings.found.length === 0, findings: findings.found, notes: findings.notes, rto_ms };
}

/** Before anything is written: a live database on the same disk needs what is left of it more. */
async function checkRoom(parent: string, unpackedSize: number): Promise<void> {
  const free = await new Files().free(parent);
  const needed = 2 * unpackedSize;
  if (free >= needed) return;
  throw new Failure(
    'unavailable',
    'There is too little room to restore the backup into a scratch database.',
    {
      detail: `${needed} bytes are needed in ${parent}, ${free} are free`,
      hint: `Make room where ${parent} is (\`authserver doctor --only free-space\`), then run it again.`,
    },
  );
}

function restore(subject: ProofSubject, bench: ProofBench): Promise<Unpacked | undefined> {
  return bench.findings.attempt('It cannot be restored', async () => {
    await using archive = await open(subject, bench);
    return await unpackInto(bench.scratch.storage, archive, bench);
  });
}

async function open(subject: ProofSubject, { signal }: ProofBench): Promise<OpenArchive> {
  const { archive, identities, unpackedSize: _, ...expected } = subject;
  const opened = await openArchive(archive, { ...expected, ...identities, signal });
  try {
    stepsUpTo(opened.format.schema);
    return opened;
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    if (!(error instanceof Failure)) throw error;
    // That this program is too old for it says nothing about the backup.
    const { hint, detail } = error;
    throw new CannotRead(error.message, { ...(hint && { hint }), ...(detail && { detail }), cause: error });
  }
}

function scratchChoice(config: Config): StorageChoice {
  const choice = storageChoice(config);
  if (choice.driver === 'sqlite') return choice;
  const { postgres } = choice;
  const maxConnections = Math.min(postgres.maxConnections, CONNECTIONS);
  return { driver: 'postgres', postgres: { ...postgres, maxConnections } };
}
