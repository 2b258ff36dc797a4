import { createPrivateKey } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { Failure } from '../kernel/errors.ts';
import type { ExportedKey } from '../keys/export.ts';
import { call } from './admin-calls.ts';
import { command } from './command.ts';
import { flag, text } from './option.ts';
import { column } from './print/printer.ts';

/** The key derivation of encrypted PKCS #8 is weak against guessing, so the passphrase must not be. */
const SHORTEST_PASSPHRASE = 12;

export const keysExportCommand = command({
  name: 'keys export',
  summary: 'Copy the private half of a key to a file, encrypted.',
  description:
    'The file is PKCS #8 in PEM, made with mode 0600; one that exists is not overwritten. The passphrase is asked for on a terminal and read from standard input otherwise. Key stores that never show keys refuse. The export is in the audit trail.',
  arguments: { kid: 'key id' },
  options: {
    out: text('--out <file>', 'where to write it (needed)'),
    plaintext: flag('--plaintext', 'do not encrypt it: whoever reads the file can sign tokens'),
  },
  examples: [
    'authserver keys export 3Jk0aVd2mZ --out signing-key.pem',
    `printf '%s' "$PASSPHRASE" | authserver keys export 3Jk0aVd2mZ --out signing-key.pem`,
  ],
  async run(context, { kid, out, plaintext }) {
    if (out === undefined) {
      throw new Failure('invalid_input', 'Where to write the key is missing.', {
        hint: 'Say --out FILE.',
      });
    }
    const passphrase = plaintext
      ? undefined
      : longEnough(await context.readSecret('Passphrase', { confirm: true }));
    // Made before the key is asked for: a file that is in the way leaves no trace of an export in the audit trail.
    const file = create(out);
    try {
      const { pem } = await call<ExportedKey>(context, 'POST', ['keys', kid, 'export']);
      writeFileSync(file, passphrase === undefined ? pem : encrypt(pem, passphrase));
      fsyncSync(file);
    } catch (error) {
      rmSync(out, { force: true });
      throw error;
    } finally {
      closeSync(file);
    }
    context.printer.record({ kid, file: out, encrypted: !plaintext }, `Key ${kid} is written to ${out}.`, [
      column('encrypted', () => (plaintext ? 'no: whoever reads this file can sign tokens' : 'yes')),
    ]);
  },
});

function longEnough(passphrase: string): string {
  if (passphrase.length >= SHORTEST_PASSPHRASE) return passphrase;
  throw new Failure('invalid_input', `A passphrase needs at least ${SHORTEST_PASSPHRASE} characters.`);
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

function encrypt(pem: string, passphrase: string): string {
  return createPrivateKey(pem)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase })
    .toString();
}
