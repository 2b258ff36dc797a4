import { Failure } from '../../kernel/errors.ts';
import type { Stanza } from '../../ops/point-in-time/configuration.ts';
import { parseRepository, type Repository } from '../../ops/point-in-time/repository.ts';
import { Owner } from './owner.ts';

/** pgBackRest on one stanza, run by whoever owns its configuration. */
export class PgBackRest {
  readonly stanza: Stanza;
  readonly owner: Owner;

  /** Failures: `not_found` without the configuration; `refused` when we may not act for its owner. */
  constructor(stanza: Stanza) {
    this.stanza = stanza;
    this.owner = Owner.of(stanza.config);
  }

  /** Failures: `failed` with what pgBackRest says; `configuration` where it is not installed. */
  async info(): Promise<Repository> {
    const text = await this.run('info', ['--output=json']);
    return parseRepository(text, this.stanza.stanza);
  }

  /** What a command of pgBackRest prints. Failures: `failed` with what it says, `interrupted`, `configuration`. */
  async run(command: string, options: readonly string[] = [], signal?: AbortSignal): Promise<string> {
    const words = [...this.#place(), ...options, command];
    const { code, stdout, stderr } = await this.owner.run(this.stanza.command, words, { signal });
    if (code === 0) return stdout;
    throw new PgBackRestFailure(command, code, `${stdout}\n${stderr}`, this.commandLine(command));
  }

  /** As the operator types it. */
  commandLine(command: string, ...options: readonly string[]): string {
    return ['sudo', '-u', this.owner.name, this.stanza.command, ...this.#place(), ...options, command].join(
      ' ',
    );
  }

  #place(): readonly string[] {
    return [`--config=${this.stanza.config}`, `--stanza=${this.stanza.stanza}`];
  }
}

/** pgBackRest ended with an error; its number says which (it prints the same in brackets). */
export class PgBackRestFailure extends Failure {
  readonly exit: number | null;

  constructor(command: string, exit: number | null, output: string, byHand: string) {
    super('failed', `pgbackrest ${command} failed (${exit ?? 'a signal'}).`, {
      detail: errorsOf(output),
      hint: `Mend what it says, then try again. By hand: ${byHand}`,
    });
    this.exit = exit;
  }
}

/** The errors among the lines, without the times and the ids of processes. */
function errorsOf(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const from = lines.findIndex((line) => /\bERROR: /.test(line));
  const told = (from < 0 ? lines : lines.slice(from)).filter(Boolean).slice(0, 6);
  return told.map((line) => line.replace(/^.*?\b(?=ERROR: )/, '')).join('\n');
}
