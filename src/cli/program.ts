import { CommanderError, Option as CommanderOption, Command as Program } from 'commander';
import { Failure } from '../kernel/errors.ts';
import type { CliContext, Command } from './command.ts';
import { exitCodes } from './exit-codes.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly config: string | undefined;
  readonly json: boolean;
}

/** A parsed command line, ready to run. */
export interface Invocation {
  readonly command: Command;
  readonly globals: GlobalOptions;
  run(context: CliContext): Promise<void>;
}

/** What a command line leads to: a command to run, or a text to show (help, version). */
export type Parsed = { readonly invocation: Invocation } | { readonly show: string };

/** Reads a command line. Throws `invalid_input` with a suggestion when it makes no sense. */
export function parseCommandLine(
  commands: readonly Command[],
  groups: Readonly<Record<string, string>>,
  version: string,
  words: readonly string[],
): Parsed {
  let shown = '';
  let invocation: Invocation | undefined;
  const output = {
    writeOut: (text: string) => {
      shown += text;
    },
    // What commander complains about is thrown too, and said in our own way.
    writeErr: () => {},
  };
  const program = buildProgram(commands, groups, version, (found) => {
    invocation = found;
  });
  for (const each of everyProgram(program)) each.exitOverride().configureOutput(output);
  try {
    program.parse(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { show: shown };
    throw error.code === 'commander.help' ? missingCommand(program, words) : usageFailure(error);
  }
  if (!invocation) throw new TypeError('the command line parser ended without a command');
  return { invocation };
}

function buildProgram(
  commands: readonly Command[],
  groups: Readonly<Record<string, string>>,
  version: string,
  found: (invocation: Invocation) => void,
): Program {
  const program = new Program('authserver');
  program
    .description('OAuth 2.1 and OpenID Connect server.')
    .version(`authserver ${version}`, '-V, --version', 'print the version')
    .addOption(configOption())
    .addOption(jsonOption());
  const nodes = new Map<string, Program>([['', program]]);
  for (const command of commands) {
    const words = command.name.split(' ');
    const name = words.pop() as string;
    // Others may follow it, as `restore undo` does `restore`.
    nodes.set(command.name, addCommand(groupOf(words, nodes, groups), name, command, found));
  }
  for (const node of nodes.values()) {
    if (node.commands.length === 0) continue;
    node
      .helpOption('-h, --help', 'show this help')
      .helpCommand('help [command]', 'show the help of a command');
  }
  return program;
}

function groupOf(
  words: readonly string[],
  nodes: Map<string, Program>,
  groups: Readonly<Record<string, string>>,
): Program {
  const path = words.join(' ');
  const known = nodes.get(path);
  if (known) return known;
  const made = groupOf(words.slice(0, -1), nodes, groups).command(words.at(-1) as string);
  made.description(groups[path] ?? '');
  nodes.set(path, made);
  return made;
}

function addCommand(
  parent: Program,
  name: string,
  command: Command,
  found: (invocation: Invocation) => void,
): Program {
  const node = parent.command(name).summary(command.summary);
  node.description([command.summary, command.description].filter(Boolean).join('\n\n'));
  for (const [argument, summary] of Object.entries(command.arguments)) {
    node.argument(`<${argument.replaceAll('_', '-')}>`, summary);
  }
  for (const [argument, summary] of Object.entries(command.optional)) {
    node.argument(`[${argument.replaceAll('_', '-')}]`, summary);
  }
  const options = Object.entries(command.options).map(([key, option]) => {
    const made = new CommanderOption(option.flags, option.summary);
    made.argChoices = option.choices && [...option.choices];
    if (!made.isBoolean() && !made.negate)
      made.argParser((value: string, former: string[] = []) => [...former, value]);
    node.addOption(made);
    return { key, option, attribute: made.attributeName() };
  });
  node.addOption(configOption()).addOption(jsonOption());
  node.helpOption('-h, --help', 'show this help').addHelpText('after', helpTail(command));
  node.action(() => {
    // A command above it takes options that both have.
    const typed = node.optsWithGlobals();
    refuseOptionsOfAnother(node);
    const input: Record<string, unknown> = {};
    const names = [...Object.keys(command.arguments), ...Object.keys(command.optional)];
    for (const [index, argument] of names.entries()) input[argument] = node.args[index];
    for (const { key, option, attribute } of options) input[key] = option.read(typed[attribute]);
    const { config, json = false } = node.optsWithGlobals<Partial<GlobalOptions>>();
    found({ command, globals: { config, json }, run: (context) => command.run(context, input) });
  });
  return node;
}

/** What was said to a command above, and means nothing to this one. */
function refuseOptionsOfAnother(node: Program): void {
  const { parent } = node;
  const stray = parent?.options.find(
    (option) =>
      parent.getOptionValueSource(option.attributeName()) === 'cli' &&
      !node.options.some((own) => own.attributeName() === option.attributeName()),
  );
  if (!stray) return;
  throw new Failure('invalid_input', `'${node.name()}' has no option '${stray.long}'.`, {
    hint: 'Run the command with --help to see what it takes.',
  });
}

function configOption(): CommanderOption {
  return new CommanderOption('--config <file>', 'read settings from this YAML file (or AUTHSERVER_CONFIG)');
}

function jsonOption(): CommanderOption {
  return new CommanderOption('--json', 'answer in JSON, for programs');
}

function helpTail(command: Command): string {
  const examples = command.examples.map((example) => `  $ ${example}`).join('\n');
  const codes = Object.values(exitCodes).map(({ code, meaning }) => `  ${code}  ${meaning}`);
  return `\n${command.examples.length === 1 ? 'Example' : 'Examples'}:\n${examples}\n\nExit codes:\n${codes.join('\n')}`;
}

function everyProgram(program: Program): readonly Program[] {
  return [program, ...program.commands.flatMap((child) => everyProgram(child as Program))];
}

function usageFailure(error: CommanderError): Failure {
  const [sentence = '', ...more] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = more.join(' ').replace(/^\((.*)\)$/, '$1');
  const hint = `${suggestion} Run the command with --help to see what it takes.`.trim();
  const said = sentence.replace(/\.$/, '');
  return new Failure('invalid_input', `${said.charAt(0).toUpperCase()}${said.slice(1)}.`, { hint });
}

/** For a command line that ends with a group, such as `authserver config`. */
function missingCommand(program: Program, words: readonly string[]): Failure {
  const group = words.reduce(
    (node, word) => node.commands.find((child) => child.name() === word) ?? node,
    program,
  );
  const names = group.commands.map((child) => child.name()).filter((name) => name !== 'help');
  return new Failure('invalid_input', 'A command is missing.', {
    hint: `Use one of: ${names.join(', ')}. --help says what they do.`,
  });
}
