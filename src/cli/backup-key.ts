import { makeIdentity, recipientOf } from '../archive/age-keys.ts';
import { SIGNER_KEY } from '../archive/signature.ts';
import { Failure } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import type { KeyReport } from '../ops/backup/key.ts';
import { performQuietly, sheetIn } from './backup-perform.ts';
import { type CliContext, command } from './command.ts';
import { flag, text } from './option.ts';
import { type Column, column, moment, orDash } from './print/printer.ts';

const columns: readonly Column<KeyReport>[] = [
  column('deployment', ({ deployment }) => deployment),
  column('recovery key', ({ recipient }) => orDash(recipient)),
  column('written down', ({ confirmed_at, recipient }) =>
    recipient === null
      ? '-'
      : confirmed_at === null
        ? 'nobody has shown it'
        : `shown ${moment(confirmed_at)}`,
  ),
  column('backups open with', openers),
  column('signed by', ({ signers }) => signers.join(', ')),
];

const distrusted: Column<KeyReport> = column('no longer', (report) => report.distrusted.join(', '));

function fieldsOf(report: KeyReport): readonly Column<KeyReport>[] {
  return report.distrusted.length > 0 ? [...columns, distrusted] : columns;
}

function openers({ encryption, recipients }: KeyReport): string {
  if (encryption === null) return 'nothing yet';
  if (encryption === 'none') return 'nothing: they are not encrypted';
  return encryption === 'passphrase' ? 'the passphrase of the settings' : recipients.join(', ');
}

const show = command({
  name: 'backup key show',
  summary: 'Show who can open backups, who signs them, and whether the recovery key is written down.',
  description:
    'With --sheet it prints the public part of the recovery sheet as it is now: all but the secret, to be put below the one that is kept.',
  options: { sheet: flag('--sheet', 'print the public part of the recovery sheet') },
  examples: ['authserver backup key show', 'authserver backup key show --sheet >> recovery-sheet.txt'],
  async run(context, { sheet: asSheet }) {
    const report = await performQuietly(context, ({ showKeyVerb }) => showKeyVerb);
    if (asSheet) {
      const sheet = await sheetOf(report);
      context.printer.document({ ...report, recovery_sheet: sheet }, sheet);
      return;
    }
    context.printer.record(report, 'Backups of this deployment:', fieldsOf(report));
    if (report.recipient !== null && report.confirmed_at === null)
      context.printer.next('Show that the recovery sheet is written down:', 'authserver backup key confirm');
  },
});

const confirm = command({
  name: 'backup key confirm',
  summary: 'Show that the recovery key is written down.',
  description:
    'Type it, or name the file with the recovery sheet. It is compared here with its public half and goes nowhere.',
  options: { recovery_key: text('--recovery-key <file>', 'the recovery sheet, instead of being asked') },
  examples: ['authserver backup key confirm', 'authserver backup key confirm --recovery-key sheet.txt'],
  async run(context, { recovery_key: file }) {
    const { identities } = file === undefined ? await typed(context) : await sheetIn(file);
    // Of several keys on a sheet the present one is looked for.
    const recipients = identities
      .filter((identity) => !/^AGE-SECRET-KEY-PQ-/.test(identity))
      .map(recipientOf);
    const { recipient: present } = await performQuietly(context, ({ showKeyVerb }) => showKeyVerb);
    const recipient = recipients.find((each) => each === present) ?? recipients[0];
    if (recipient === undefined)
      throw new Failure('invalid_input', 'There is no recovery key on that sheet.');
    const report = await performQuietly(context, ({ keyVerb }) => keyVerb('confirm', recipient));
    context.printer.record(
      report,
      'That is the recovery key. Keep it away from this machine.',
      fieldsOf(report),
    );
  },
});

async function typed(context: CliContext): Promise<{ readonly identities: readonly string[] }> {
  const { readRecoverySheet } = await import('../app/backup/recovery-sheet.ts');
  return readRecoverySheet(await context.readSecret('Recovery key'));
}

const replace = command({
  name: 'backup key replace',
  summary: 'Make another recovery key; backups from now on are for it.',
  description:
    'The sheet is printed once. Keep the former one for as long as there are backups that were made for it.',
  options: { yes: flag('--yes', 'do not ask before') },
  examples: ['authserver backup key replace', 'authserver backup key replace --yes > recovery-sheet.txt'],
  async run(context, { yes }) {
    if (!yes)
      await context.confirm(
        'Make another recovery key? Backups from now on cannot be opened with the former one.',
      );
    const identity = makeIdentity(systemRandom);
    const recipient = recipientOf(identity);
    const former = await performQuietly(context, ({ showKeyVerb }) => showKeyVerb);
    const report = replaced(former, recipient);
    const sheet = await sheetOf(report, identity);
    // First the sheet, which nobody has a second time: a key that is in use and was never written down opens nothing.
    context.printer.document({ ...report, recovery_key: identity, recovery_sheet: sheet }, sheet);
    await written(context.stdout);
    try {
      await performQuietly(context, ({ keyVerb }) => keyVerb('replace', recipient));
    } catch (error) {
      context.stderr.write(
        `The sheet counts only if \`authserver backup key show\` names ${recipient}; otherwise throw it away.\n`,
      );
      throw error;
    }
    context.stderr.write(
      'It is shown once. Save it away from this machine, then: authserver backup key confirm\n',
    );
  },
});

/** What is so once backups are for this key. */
function replaced(former: KeyReport, recipient: string): KeyReport {
  const { encryption, recipients } = former;
  const others = recipients.filter((each) => each !== former.recipient);
  return {
    ...former,
    recipient,
    confirmed_at: null,
    encryption: encryption ?? 'age',
    recipients: encryption === 'age' || encryption === null ? [recipient, ...others] : [],
  };
}

async function sheetOf({ deployment, signers, recipient }: KeyReport, identity?: string): Promise<string> {
  const { writeRecoverySheet } = await import('../app/backup/recovery-sheet.ts');
  return writeRecoverySheet({
    deploymentId: deployment,
    signers,
    madeAt: Date.now(),
    ...(recipient !== null && { recipient }),
    ...(identity !== undefined && { identity }),
  });
}

/** Failures: `configuration` when what was printed cannot have arrived. */
async function written(stdout: NodeJS.WritableStream): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // It stays: whatever else is written there fails too, and must not end the process before it has said why.
  stdout.on('error', reject);
  stdout.write('', (error) => (error ? reject(error) : resolve()));
  await promise.catch((cause: unknown) => {
    throw new Failure('configuration', 'The key was not replaced: its sheet could not be written.', {
      detail: cause instanceof Error ? cause.message : String(cause),
      hint: 'Write it where there is room: authserver backup key replace --yes > recovery-sheet.txt',
      cause,
    });
  });
}

const distrust = command({
  name: 'backup key distrust',
  summary: 'Take a key out of those whose signatures on backups count.',
  description:
    'For a machine that was stolen or given away: what its key has signed is believed no more, also what it signed before. ' +
    'Recovery sheets that name the key have to be changed by hand: strike out its line.',
  arguments: { signer: 'the public signing key, as `backup key show` names it' },
  options: { yes: flag('--yes', 'do not ask before') },
  examples: ['authserver backup key distrust EY3UbrHjF8bjZ-oOwkHToA5zvBCsAVwYyWfQSn4aGho'],
  async run(context, { signer, yes }) {
    if (!SIGNER_KEY.test(signer)) {
      throw new Failure(
        'invalid_input',
        'That is no public signing key: it has 43 letters, digits, - or _.',
        {
          hint: '`authserver backup key show` names them. One that begins with a dash goes behind "--".',
        },
      );
    }
    if (!yes) {
      await context.confirm(
        'Take this key out? Every backup that it signed will count for nothing, from its first one on.',
      );
    }
    const report = await performQuietly(context, ({ distrustVerb }) => distrustVerb(signer));
    context.printer.record(report, 'Its signatures count no more.', fieldsOf(report));
    context.printer.next('Make a backup that counts:', 'authserver backup create');
    context.printer.next('On each recovery sheet strike out the line:', `# signer: ${signer}`);
  },
});

export const backupKeyCommands = [show, confirm, replace, distrust];
