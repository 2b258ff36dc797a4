/**
 * cli: turns a command line into one call. One file a command, each a `command({...})`; main.ts is the table of them and
 * of the exit codes. It owns flags, prompts and printing; it must not know a table, a token or a driver: administrative
 * commands speak to the admin API through `CliContext.admin()`, whether a server is running or not.
 */
import type { AdminClient } from '../app/admin-client.ts';
import type { Config, LoadedConfig } from '../app/config.ts';
import type { Printer } from './print/printer.ts';
import type { SecretOptions } from './secret.ts';

/** What a command may use of the world. Everything is lazy: a command that needs no configuration reads none. */
export interface CliContext {
  /** The effective settings; throws one Failure `configuration` that lists every fault. */
  config(): Promise<Config>;
  /** The same with the origin of each value. */
  loadedConfig(): Promise<LoadedConfig>;
  /** The admin API: of the running server where there is one, otherwise in this process. Closed after the command. */
  admin(): Promise<AdminClient>;
  readonly printer: Printer;
  /**
   * Asks for a secret: without echo on a terminal (twice with `confirm`), from stdin otherwise or with `stdin` (all of it,
   * without the last line break). Secrets never come by argument, where other users of the machine could read them.
   */
  readSecret(label: string, options?: SecretOptions): Promise<string>;
  /**
   * Passes when the person at the terminal says yes, or types the word where one is asked for; otherwise, and where there
   * is no terminal, fails with `refused`.
   */
  confirm(question: string, word?: string): Promise<void>;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP; for commands that drain. A second one of the former ends the process. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True where a person watches standard output. */
  readonly terminal: boolean;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/** One option of a command; `Value` is what `run` gets. option.ts makes them. */
export interface Option<Value> {
  /** `--email <address>`; a flag has no `<...>`. */
  readonly flags: string;
  readonly summary: string;
  readonly repeatable: boolean;
  readonly choices?: readonly string[];
  /** Turns what was typed (undefined when absent) into the value; throws Failure `invalid_input` on nonsense. */
  read(typed: readonly string[] | boolean | undefined): Value;
}

/** Names of the required arguments, each with its one line of help. */
export type Arguments = Readonly<Record<string, string>>;
// biome-ignore lint/suspicious/noExplicitAny: the values of different options have nothing in common
export type Options = Readonly<Record<string, Option<any>>>;

/** What `run` gets: each argument and each option by its name. */
export type Input<A extends Arguments, O extends Options, M extends Arguments> = {
  readonly [Name in keyof A]: string;
} & { readonly [Name in keyof M]: string | undefined } & {
  readonly [Name in keyof O]: O[Name] extends Option<infer Value> ? Value : never;
};

export interface CommandSpec<A extends Arguments, O extends Options, M extends Arguments> {
  /** Words that lead to it: `admin user create`. */
  readonly name: string;
  /** One line: what it does. */
  readonly summary: string;
  /** More, where one line does not tell what a person must know before. */
  readonly description?: string;
  /** Required arguments in order. */
  readonly arguments?: A;
  /** Arguments after those that may be left out. */
  readonly optional?: M;
  readonly options?: O;
  /** Whole command lines that work, the simplest first. */
  readonly examples: readonly string[];
  /** It watches `context.signal` and ends by itself; other commands are cut off by a signal. */
  readonly drains?: boolean;
  /** SIGHUP has another meaning to it than that it is to stop. */
  readonly keepsOnHangup?: boolean;
  /** Ends normally for exit code 0; throws a Failure for any other (exit-codes.ts). */
  run(context: CliContext, input: Input<A, O, M>): Promise<void>;
}

/** A command whose input types have been checked where it was written. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  readonly description: string | undefined;
  readonly arguments: Arguments;
  readonly optional: Arguments;
  readonly options: Options;
  readonly examples: readonly string[];
  readonly drains: boolean;
  readonly keepsOnHangup: boolean;
  run(context: CliContext, input: Readonly<Record<string, unknown>>): Promise<void>;
}

// biome-ignore-start lint/complexity/noBannedTypes: `{}` is the type of a command without arguments or options
export function command<
  const A extends Arguments = {},
  O extends Options = {},
  const M extends Arguments = {},
>(spec: CommandSpec<A, O, M>): Command {
  // biome-ignore-end lint/complexity/noBannedTypes: as above
  return {
    name: spec.name,
    summary: spec.summary,
    description: spec.description,
    arguments: spec.arguments ?? {},
    optional: spec.optional ?? {},
    options: spec.options ?? {},
    examples: spec.examples,
    drains: spec.drains ?? false,
    keepsOnHangup: spec.keepsOnHangup ?? false,
    run: (context, input) => spec.run(context, input as Input<A, O, M>),
  };
}
