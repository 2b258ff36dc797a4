/** Options of the commands that read a backup in this process: what opens it, and whom to believe. */
import { SIGNER_KEY } from '../archive/signature.ts';
import { Failure } from '../kernel/errors.ts';
import type { CliContext, Option } from './command.ts';
import { text } from './option.ts';

const trust: Option<readonly string[]> = {
  flags: '--trust <key>',
  summary: 'believe backups signed by this key, from a recovery sheet',
  repeatable: true,
  read(typed) {
    const keys = Array.isArray(typed) ? typed : [];
    const wrong = keys.find((key) => !SIGNER_KEY.test(key));
    if (wrong === undefined) return keys;
    throw new Failure('invalid_input', `--trust does not know "${wrong}".`, {
      hint: 'Give a public signing key: 43 characters, behind `# signer:` on the recovery sheet.',
    });
  },
};

export const openingOptions = {
  target: text('--target <name>', 'only from this target of backup.targets'),
  recovery_key: text(
    '--recovery-key <file>',
    'the recovery sheet, or an age identity file (or AUTHSERVER_RECOVERY_KEY_FILE)',
  ),
  passphrase_file: text('--passphrase-file <file>', 'a file with the passphrase of the backup'),
  trust,
} as const;

/** What was typed of these. */
export interface OpeningInput {
  readonly target: string | undefined;
  readonly recovery_key: string | undefined;
  readonly passphrase_file: string | undefined;
  readonly trust: readonly string[];
}

/** The same as the rooms below take it. */
export function openingOf({ env }: Pick<CliContext, 'env'>, input: OpeningInput) {
  return {
    target: input.target,
    recoveryKeyFile: input.recovery_key ?? (env['AUTHSERVER_RECOVERY_KEY_FILE'] || undefined),
    passphraseFile: input.passphrase_file,
    trust: input.trust,
  };
}
