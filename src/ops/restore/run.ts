/** What a restore consists of, in its order. Until it is decided, nothing that is there has been touched. */
import { Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';

export interface RestoreProgress {
  readonly step: string;
  readonly number: number;
  readonly of: number;
}

/** The steps, done by whoever knows engines and files. */
export interface RestoreWork {
  /** Rows of the backup into an empty database beside the present one, keys and settings in hand. */
  unpack(): Promise<void>;
  /** What is in that database now, compared with what the manifest says. */
  compare(): Promise<void>;
  /** What the recovery log has after the backup, up to the moment that was asked for. */
  replay(): Promise<void>;
  /** On to the schema of this program. */
  migrate(): Promise<void>;
  /** Rows that are sealed open with the keys of the settings. */
  checkKeys(): Promise<void>;
  /** Nothing that was taken away since is in force; nothing that may be used once can be used again. */
  makeSafe(): Promise<void>;
  /** The new database says itself where it comes from; everything is on the disk. */
  record(): Promise<void>;
  /** From here on the restore has happened, whoever brings it to its end. */
  decide(): Promise<void>;
  /** The new database in the place of the present one, which is kept. */
  swap(): Promise<void>;
}

const STEPS: readonly { readonly name: keyof RestoreWork; readonly says: string }[] = [
  { name: 'unpack', says: 'reading the backup' },
  { name: 'compare', says: 'comparing it with its manifest' },
  { name: 'replay', says: 'replaying the recovery log' },
  { name: 'migrate', says: 'bringing its schema up to date' },
  { name: 'checkKeys', says: 'opening what is sealed' },
  { name: 'makeSafe', says: 'taking away again what was taken away since' },
  { name: 'record', says: 'recording where it comes from' },
  { name: 'decide', says: 'deciding' },
  { name: 'swap', says: 'putting it in place' },
];

/** Failures: those of the steps; `interrupted` between two of them, as long as it is not decided. */
export async function runRestore(
  work: RestoreWork,
  { progress, signal }: Watch<RestoreProgress>,
): Promise<void> {
  for (const [index, { name, says }] of STEPS.entries()) {
    progress({ step: says, number: index + 1, of: STEPS.length });
    if (name !== 'swap' && signal.aborted) throw stopped();
    await work[name]();
  }
}

function stopped(): Failure {
  return new Failure('interrupted', 'The restore was stopped before it changed anything.', {
    hint: 'Run it again when you want it.',
  });
}
