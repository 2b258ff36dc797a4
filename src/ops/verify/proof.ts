/**
 * ops/verify: whether a backup is what it was meant to be. Each file checks one thing in a database that was put together
 * from the backup, and says what is wrong with it in sentences for the operator. It must not know how that database came
 * about, nor how a server is booted on it: app does both.
 */
import { CannotRead } from '../../archive/format.ts';
import { Failure, type FailureCode } from '../../kernel/errors.ts';

/** How it went when a backup was restored into a scratch place, booted and tried. */
export interface Proof {
  /** Nothing was found. */
  readonly passed: boolean;
  /** What is wrong with the backup, as sentences. */
  readonly findings: readonly string[];
  /** From the first byte that was read to the first client that was served, ms: how long a restore takes. */
  readonly rto_ms: number;
  /** What could not be tried here, and why; none of it speaks against the backup. */
  readonly notes: readonly string[];
}

/** That a backup cannot be had now is no finding about it. */
const NO_FINDING: ReadonlySet<FailureCode> = new Set(['interrupted', 'unavailable']);

/** What the operating system says when this machine is in trouble, whatever the backup is like. */
const OF_THIS_MACHINE: ReadonlySet<unknown> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EIO',
  'EROFS',
  'EACCES',
  'EPERM',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
]);

/** What comes to light while a backup is tried. */
export class Findings {
  readonly #found: string[] = [];
  readonly #notes: string[] = [];

  get found(): readonly string[] {
    return this.#found;
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  add(sentence: string): void {
    if (!this.#found.includes(sentence)) this.#found.push(sentence);
  }

  note(sentence: string): void {
    if (!this.#notes.includes(sentence)) this.#notes.push(sentence);
  }

  /**
   * What the work answers. Where it fails, that is a finding and the answer undefined; only `interrupted`, `unavailable`
   * (a full disk here, too) and that this program cannot judge it are thrown.
   * @param what was being done, for the beginning of the sentence: `The rows cannot be put in`
   */
  async attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof CannotRead) throw error;
      if (error instanceof Failure && NO_FINDING.has(error.code)) throw error;
      const trouble = troubleHere(error);
      if (trouble) throw trouble;
      this.add(`${what}: ${reasonOf(error)}`);
      return undefined;
    }
  }
}

/** A failure that speaks of this machine; undefined where nothing speaks for it. */
export function troubleHere(error: unknown): Failure | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = 'code' in at ? at.code : undefined;
    if (!OF_THIS_MACHINE.has(code)) continue;
    return new Failure('unavailable', `This machine cannot try a backup now (${code}).`, {
      detail: at.message,
      hint: 'Look at the disk of the state directory: is it full, failing, or not for this user? Then run it again.',
      cause: error,
    });
  }
  return undefined;
}

/** A backup may hold anything, so that what breaks on it need not be a failure that somebody thought of. */
function reasonOf(error: unknown): string {
  if (error instanceof Failure && error.code !== 'internal') return error.message;
  const cause = error instanceof Failure ? (error.detail ?? error.message) : String(error);
  return cause.split('\n', 1)[0] ?? '';
}
