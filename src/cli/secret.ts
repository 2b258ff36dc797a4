import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { Failure } from '../kernel/errors.ts';

export interface Keyboard {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WritableStream;
}

export interface SecretOptions {
  /** A person types it twice. */
  readonly confirm?: boolean;
  /** It comes on standard input, also where that is a terminal. */
  readonly stdin?: boolean;
}

/** A secret from the terminal without echo, or from standard input where that is no terminal. Never empty. */
export async function readSecret(
  keyboard: Keyboard,
  label: string,
  { confirm = false, stdin = false }: SecretOptions = {},
): Promise<string> {
  const secret =
    keyboard.stdin.isTTY && !stdin
      ? await fromPerson(keyboard, label, confirm)
      : await fromPipe(keyboard.stdin);
  if (secret !== '') return secret;
  throw new Failure('invalid_input', `No ${label.toLowerCase()} was given.`, {
    hint: 'Type it at the prompt, or send it on standard input.',
  });
}

/** `printf 'secret\n' | authserver ...`: the last line break is the shell's, not the secret's. */
async function fromPipe(stdin: NodeJS.ReadStream): Promise<string> {
  return (await readAll(stdin)).replace(/\r?\n$/, '');
}

async function fromPerson({ stdin, stderr }: Keyboard, label: string, confirm: boolean): Promise<string> {
  const mute = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: mute, terminal: true });
  const typed = lines[Symbol.asyncIterator]();
  const interrupted = new Promise<never>((_, reject) => {
    lines.once('SIGINT', () => reject(new Failure('interrupted', 'Interrupted.')));
  });
  const ask = async (prompt: string): Promise<string> => {
    stderr.write(`${prompt}: `);
    try {
      const { value = '' } = await Promise.race([typed.next(), interrupted]);
      return value;
    } finally {
      stderr.write('\n');
    }
  };
  try {
    const secret = await ask(label);
    if (!confirm || (await ask(`${label} again`)) === secret) return secret;
  } finally {
    lines.close();
  }
  throw new Failure('invalid_input', 'The two entries differ.', { hint: 'Run the command again.' });
}
