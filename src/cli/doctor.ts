import { systemClock } from '../kernel/clock.ts';
import { Failure } from '../kernel/errors.ts';
import type { Finding } from '../ops/doctor/finding.ts';
import { command } from './command.ts';
import { flag, text } from './option.ts';

export const doctorCommand = command({
  name: 'doctor',
  summary: 'Look for what is wrong with this installation before it goes wrong.',
  description:
    'One line for each check, with what to do next. It changes nothing and may run at any time, beside a server or ' +
    'without one, also while the database is away. Where a check fails the exit code is 1; warnings do not count. ' +
    'docs/operate/doctor.md says what each check means.',
  options: {
    only: text('--only <checks>', 'only these checks, with commas between them'),
    deep: flag('--deep', 'read a database file of more than 1 GiB and a long audit trail to their ends'),
  },
  examples: [
    'authserver doctor',
    'authserver doctor --json',
    'authserver doctor --only clock,file-modes,backup-age',
  ],
  async run({ config, loadedConfig, printer }, { only, deep }) {
    const { examineInstallation } = await import('../app/doctor.ts');
    const request = { only: only === undefined ? undefined : namesIn(only), deep };
    // To whom the installation is closed, all of it would look as though it were not there.
    await config();
    const findings = await examineInstallation(await loadedConfig(), request, systemClock);
    const failed = findings.filter(({ status }) => status === 'fail');
    printer.document({ ok: failed.length === 0, findings }, textOf(findings));
    if (failed.length === 0) return;
    throw new Failure('failed', `${failed.length} of ${findings.length} checks failed.`, {
      hint: 'Begin with the first one: what comes later may follow from it.',
    });
  },
});

function namesIn(list: string): readonly string[] {
  return list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

const WORDS = { ok: 'ok', warn: 'WARN', fail: 'FAIL', skipped: 'skipped' } as const;
const STATUS_WIDTH = 9;

function textOf(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ check }) => check.length)) + 2;
  const indent = ' '.repeat(STATUS_WIDTH + width);
  return findings
    .map(({ check, status, finding, hint }) => {
      const line = `${WORDS[status].padEnd(STATUS_WIDTH)}${check.padEnd(width)}${finding}`;
      return hint === null ? line : `${line}\n${indent}${hint}`;
    })
    .join('\n');
}
