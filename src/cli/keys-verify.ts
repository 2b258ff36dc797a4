import { Failure } from '../kernel/errors.ts';
import type { KeyFinding, KeyVerification } from '../keys/inspection.ts';
import { call } from './admin-calls.ts';
import { type CliContext, command } from './command.ts';
import { verifyShares } from './keys-shares.ts';
import { flag } from './option.ts';
import { column, yesNo } from './print/printer.ts';

export const keysVerifyCommand = command({
  name: 'keys verify',
  summary: 'Sign with every key where it is kept, and hold what is found to the database.',
  description:
    'One line for each key. Where something is wrong the exit code is 1, and the line says what mends it.',
  options: {
    shares: flag('--shares', 'instead, try recovery shares of the master key, from standard input'),
  },
  examples: [
    'authserver keys verify',
    'authserver keys verify --json',
    'authserver keys verify --shares < shares.txt',
  ],
  async run(context, { shares }) {
    if (shares) return tryShares(context);
    const verification = await call<KeyVerification>(context, 'POST', ['keys', 'verify']);
    context.printer.document(verification, verification.findings.map(asLine).join('\n'));
    const wrong = verification.findings.filter(({ ok }) => !ok);
    if (wrong.length === 0) return;
    throw new Failure(
      'failed',
      `${wrong.length} of ${verification.findings.length} findings need attention.`,
    );
  },
});

/** The key that they make is neither shown nor kept. */
async function tryShares(context: CliContext): Promise<void> {
  const verdict = await verifyShares(context);
  const { opens_all } = verdict;
  context.printer.record(
    verdict,
    opens_all
      ? 'These shares rebuild the master key of this database.'
      : 'These shares rebuild another master key.',
    [
      column('they make', ({ master_key_id }) => master_key_id),
      column('the database needs', ({ needed }) => needed.join(', ') || 'none'),
      column('one of them', ({ opens }) => yesNo(opens)),
    ],
  );
  if (opens_all) return;
  throw new Failure('failed', 'The shares do not open this database.', {
    hint: 'After a change of the master key, make new shares: authserver keys shares create',
  });
}

function asLine({ kid, state, ok, finding, repair }: KeyFinding): string {
  const line = `${ok ? 'ok   ' : 'WRONG'}  ${kid}  ${state}: ${finding}`;
  return repair === null ? line : `${line}\n       ${repair}`;
}
