import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { Failure } from '../kernel/errors.ts';
import { readKind } from '../ops/reinstate/thing.ts';
import { openingOf, openingOptions } from './backup-keys.ts';
import { command } from './command.ts';
import { flag, text } from './option.ts';
import { column, moment } from './print/printer.ts';

export const backupExtractCommand = command({
  name: 'backup extract',
  summary: 'Show what a backup knows of one user, client or resource.',
  description:
    'A JSON document: a user with consents, a client with its secrets (without their hashes) and consents, a resource. ' +
    'Nothing is changed. A user is named by id, user name or address, a resource by id or URI. ' +
    '`restore --only` puts the same back.',
  arguments: { kind: 'user, client or resource', id: 'its id' },
  options: {
    from: text('--from <backup>', 'the id of a backup, the path of an archive, or latest (needed)'),
    output: text('--output <file>', 'write it there, with mode 0600; what exists is not overwritten'),
    with_secrets: flag('--with-secrets', 'with the hashes of passwords, secrets and tokens'),
    ...openingOptions,
  },
  examples: [
    'authserver backup extract user alice --from latest --recovery-key recovery-sheet.txt',
    'authserver backup extract client cli_0123 --from backup.tar.zst.age --output client.json',
  ],
  drains: true,
  async run(context, { kind, id, from, output, with_secrets, ...input }) {
    const thing = { kind: readKind(kind), id };
    if (from === undefined) {
      throw new Failure('invalid_input', 'Which backup to look into is missing.', {
        hint: 'Say --from with the id of a backup (`authserver backup list`), the path of an archive, or latest.',
      });
    }
    const { extract } = await import('../app/reinstate/extract.ts');
    const config = await context.config();
    const request = { thing, secrets: with_secrets, backup: from, ...openingOf(context, input) };
    const document = await extract(config, request, context.signal);
    const pretty = JSON.stringify(document, undefined, 2);
    if (output === undefined) return context.printer.document(document, pretty);
    write(output, `${pretty}\n`);
    const { backup, state_of } = document;
    context.printer.record({ file: output, backup, kind, state_of }, `The ${kind} is written to ${output}.`, [
      column('as of', () => moment(state_of)),
      column('secrets', () => (with_secrets ? 'hashes are in it: keep it as you keep a backup' : 'left out')),
    ]);
  },
});

function write(file: string, content: string): void {
  const handle = create(file);
  try {
    writeFileSync(handle, content);
    fsyncSync(handle);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
}

function create(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    throw new Failure(
      exists ? 'refused' : 'invalid_input',
      exists ? `${file} exists and is not overwritten.` : `Cannot write ${file}.`,
      { detail: cause instanceof Error ? cause.message : String(cause), cause },
    );
  }
}
