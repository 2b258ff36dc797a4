import { open } from 'node:fs/promises';
import type { SharesReport } from '../admin/keys-custody.ts';
import { Failure } from '../kernel/errors.ts';
import { type CliContext, type Command, command } from './command.ts';
import { integer, text } from './option.ts';
import { column } from './print/printer.ts';

const create = command({
  name: 'keys shares create',
  summary: 'Split the master key into recovery shares, of which a few rebuild it.',
  description:
    'Each share is printed once and kept nowhere: give each to another person, on paper. The server keeps what set it was and which master key it is of. Earlier sets stay good for as long as the master key is the same. A share tells nothing of the key; as many as the threshold are the key.',
  options: {
    threshold: integer('--threshold <n>', 'how many rebuild the key; 3 when not given'),
    shares: integer('--shares <n>', 'how many are made; 5 when not given'),
  },
  examples: ['authserver keys shares create --threshold 3 --shares 5'],
  async run(context, { threshold = 3, shares = 5 }) {
    const { perform } = await import('../app/day-two.ts');
    const { sharesVerb } = await import('../app/key-verbs.ts');
    const watch = { progress: () => undefined, signal: context.signal };
    const report = await perform(await context.config(), sharesVerb({ threshold, shares }), watch);
    context.printer.record(
      report,
      `Any ${report.threshold} of these ${report.shares} shares rebuild the master key ${report.master_key_id}.`,
      report.texts.map((share, index) => column<SharesReport>(`share ${index + 1}`, () => share)),
    );
    context.printer.next(
      'They are not shown again. Try them once they are in safe hands:',
      'authserver keys verify --shares',
    );
  },
});

const combine = command({
  name: 'keys shares combine',
  summary: 'Rebuild the master key from recovery shares, into a file.',
  description:
    'Shares are read from standard input, one a line. The file is made with mode 0600 and must not exist. data_encryption.key_file takes it as it is.',
  options: { out: text('--out <file>', 'where to write the master key') },
  examples: ['authserver keys shares combine --out /etc/authserver/master-key < shares.txt'],
  async run(context, { out }) {
    if (out === undefined) {
      throw new Failure('invalid_input', 'Where to write the master key is missing.', {
        hint: 'Say --out FILE. It is not printed.',
      });
    }
    const { secret, master_key_id } = await readShares(context);
    await writeSecret(out, `${secret.toString('hex')}\n`);
    context.printer.record({ master_key_id, file: out }, `The master key ${master_key_id} is in ${out}.`);
    context.printer.next(
      'Let the settings read it, then start the server again: data_encryption.key_file:',
      out,
    );
  },
});

export const keysSharesCommands: readonly Command[] = [create, combine];

export interface SharesVerdict {
  /** The master key that the shares make. */
  readonly master_key_id: string;
  /** The master keys that the database needs. */
  readonly needed: readonly string[];
  /** Whether the shares make one that it needs. */
  readonly opens: boolean;
  /** Whether they make all that it needs. */
  readonly opens_all: boolean;
}

/**
 * For `keys verify --shares`: reads shares, puts them together in memory, and compares the id of what they make with what
 * the database needs. The key is neither printed nor sent anywhere.
 * Failures: `invalid_input` when a share is wrong or too few are given; those of the database.
 */
export async function verifyShares(context: CliContext): Promise<SharesVerdict> {
  const { master_key_id } = await readShares(context);
  const { perform } = await import('../app/day-two.ts');
  const { masterKeyVerb } = await import('../app/key-verbs.ts');
  const watch = { progress: () => undefined, signal: context.signal };
  const { needed } = await perform(await context.config(), masterKeyVerb, watch);
  return {
    master_key_id,
    needed,
    opens: needed.includes(master_key_id),
    opens_all: needed.length > 0 && needed.every((id) => id === master_key_id),
  };
}

/** From standard input, never from arguments, which other users of the machine could read. */
async function readShares(context: CliContext): Promise<{ secret: Buffer; master_key_id: string }> {
  if (context.terminal) context.stderr.write('Shares on standard input, one a line; Ctrl-D ends them.\n');
  const { combineShares, readLines } = await import('../keys/sealing/shares.ts');
  return combineShares(readLines(await context.readSecret('Shares', { stdin: true })));
}

async function writeSecret(file: string, content: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const exists = code === 'EEXIST';
    throw new Failure(exists ? 'conflict' : 'configuration', `Cannot write ${file} (${code}).`, {
      hint: exists ? 'Name a file that does not exist.' : 'Name a file in a folder that you may write to.',
      cause,
    });
  }
}
