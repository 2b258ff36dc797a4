import { readFileSync } from 'node:fs';
import { Failure } from '../kernel/errors.ts';
import type { ImportReport } from '../keys/import.ts';
import { call } from './admin-calls.ts';
import { type CliContext, command } from './command.ts';
import { flag } from './option.ts';
import { column, moment } from './print/printer.ts';

export const keysImportCommand = command({
  name: 'keys import',
  summary: 'Take in a private key: a lost one comes back, another one takes over in its turn.',
  description:
    'The file holds a private key in PEM (PKCS #8, also encrypted, or SEC 1) or as a private JWK; - reads it from standard input. A key that the database knows and whose private half is missing is put back in its place. Any other key is published and takes over once every client can know it. With --active-now it signs at once; that is allowed while nothing can sign, or before the first token has been issued. The passphrase of an encrypted key is asked for on a terminal and read from standard input otherwise.',
  arguments: { file: 'private key, or - for standard input' },
  options: { active_now: flag('--active-now', 'let it sign at once') },
  examples: [
    'authserver keys import signing-key.pem',
    'authserver keys import - < signing-key.pem',
    'authserver keys import /backup/keys/3Jk0aVd2mZ.pem --active-now',
  ],
  async run(context, { file, active_now }) {
    const key = file === '-' ? await context.readSecret('Private key', { stdin: true }) : readKeyFile(file);
    const passphrase = await passphraseOf(context, key, file);
    const report = await call<ImportReport>(context, 'POST', ['keys', 'import'], {
      key,
      ...(passphrase !== undefined && { passphrase }),
      active_now,
    });
    context.printer.record(report, headlines[report.outcome], [
      column('key id', ({ kid }) => kid),
      column('state', ({ state }) => state),
      column('signs from', ({ activates_at }) => moment(activates_at)),
    ]);
  },
});

const headlines: Readonly<Record<ImportReport['outcome'], string>> = {
  added: 'The key is taken in.',
  restored: 'The private half of a known key is back in its place.',
  known: 'The key is here already; nothing was changed.',
};

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new Failure('invalid_input', `Cannot read ${file}.`, {
      detail: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

async function passphraseOf(context: CliContext, key: string, file: string): Promise<string | undefined> {
  if (!key.includes('ENCRYPTED')) return undefined;
  if (file !== '-') return context.readSecret('Passphrase');
  throw new Failure(
    'invalid_input',
    'The key is encrypted, and its passphrase comes on standard input too.',
    {
      hint: 'Name the file instead of -.',
    },
  );
}
