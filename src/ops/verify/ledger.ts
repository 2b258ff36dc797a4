/**
 * What verifications remember in the state directory: which backups they have seen on each target, so that one that goes
 * without a receipt is missed; and whose turn it is to be read again.
 */
import { z } from 'zod';

const ledger = z.strictObject({
  type: z.literal('authserver.verify-ledger'),
  deployment_id: z.string().nullable(),
  /** How many runs have read a part of the backups. */
  turn: z.int().nonnegative(),
  /** By target, then by id: ms, when it was last there. */
  seen: z.record(z.string(), z.record(z.string(), z.int())),
});

type Content = z.output<typeof ledger>;

/** Where it is kept; both may throw what files throw. */
export interface LedgerFile {
  read(): string | undefined;
  write(text: string): void;
}

export class VerifyLedger {
  readonly #file: LedgerFile;
  readonly #content: Content;

  /**
   * One that cannot be read, or is of another deployment, is begun anew.
   * @param deploymentId undefined where nobody knows whose backups these are: then it goes on as it is
   */
  constructor(file: LedgerFile, deploymentId: string | undefined) {
    this.#file = file;
    const known = parse(file.read());
    const deployment_id = deploymentId ?? known?.deployment_id ?? null;
    this.#content =
      known?.deployment_id === deployment_id
        ? known
        : { type: 'authserver.verify-ledger', deployment_id, turn: 0, seen: {} };
  }

  get turn(): number {
    return this.#content.turn;
  }

  nextTurn(): void {
    this.#content.turn += 1;
  }

  /** Backups of a target that were there once and are not among these. */
  gone(
    target: string,
    present: ReadonlySet<string>,
  ): readonly { readonly id: string; readonly at: number }[] {
    const seen = Object.entries(this.#content.seen[target] ?? {});
    return seen.flatMap(([id, at]) => (present.has(id) ? [] : [{ id, at }]));
  }

  see(target: string, ids: Iterable<string>, now: number): void {
    const seen = { ...this.#content.seen[target] };
    for (const id of ids) seen[id] = now;
    this.#content.seen[target] = seen;
  }

  forget(target: string, ids: Iterable<string>): void {
    for (const id of ids) delete this.#content.seen[target]?.[id];
  }

  save(): void {
    this.#file.write(`${JSON.stringify(this.#content)}\n`);
  }
}

function parse(text: string | undefined): Content | undefined {
  try {
    return ledger.parse(JSON.parse(text ?? ''));
  } catch {
    return undefined;
  }
}
