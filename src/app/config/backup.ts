/** The settings of backups, of the recovery log and of drills. */
import path from 'node:path';
import { z } from 'zod';
import { SIGNER_KEY } from '../../archive/signature.ts';
import { readSchedule } from '../../kernel/cron.ts';
import { BETWEEN_TARGETS, readTarget } from './backup-target.ts';
import { duration, type Facts, file, integer, list, optional, section, text, truth } from './key.ts';

const target = z.string('must hold only texts').superRefine((value, context) => {
  const read = readTarget(value);
  if ('problem' in read) context.addIssue({ code: 'custom', message: read.problem });
});

const recipient = z
  .string('must hold only texts')
  .refine(
    (value) => !/AGE-SECRET-KEY/i.test(value),
    'holds a secret key, where only public ones (age1...) belong',
  )
  .regex(/^age1[a-z0-9]{10,3000}$/, 'must hold only age recipients (age1...)');

const signer = z
  .string('must hold only texts')
  .regex(SIGNER_KEY, 'must hold only public signing keys (43 characters, from a recovery sheet)');

const count = { min: 0, max: 10_000 } as const;

const CRON =
  'Five fields as crontab has them (minute, hour, day of the month, month, day of the week), in UTC; `off` for never.';

export const backup = section(
  'Backups: where they go, what opens them, how many are kept. See `docs/backup-format.md`.',
  {
    targets: list({
      text: 'Where each backup goes, every one to all of them: `name=/folder` or `name=s3://bucket/prefix?region=...`. A bucket may have `endpoint`, `path_style=true`, `storage_class`, `lock=governance:30d` (or `compliance`) and `part_size=64MiB`; any target may have its own `keep=daily:7,weekly:4`. The credentials of a bucket come from the `AWS_*` variables, a profile or the role of the machine.',
      default: ({ stateDir }: Facts) => [`local=${path.join(stateDir, 'backups')}`],
      defaultText: '`local=<state_dir>/backups`',
      example:
        'local=/var/backups/authserver, away=s3://backups/auth?region=eu-central-1&lock=governance:30d',
      item: target,
      separator: BETWEEN_TARGETS,
    }),
    keep: section(
      'How many backups stay on a target that does not say it itself: the newest verified one of each of the last so many days, weeks and so on.',
      {
        last: integer(count, { text: 'The last so many, whenever they were made.', default: 0 }),
        hourly: integer(count, { text: 'Hours.', default: 0 }),
        daily: integer(count, { text: 'Days.', default: 7 }),
        weekly: integer(count, { text: 'Weeks, from Monday.', default: 4 }),
        monthly: integer(count, { text: 'Months.', default: 3 }),
        yearly: integer(count, { text: 'Years.', default: 0 }),
      },
    ),
    minimum: integer(
      { min: 1, max: 10_000 },
      { text: 'So many verified backups stay on each target, whatever `keep` says.', default: 3 },
    ),
    schedule: text({
      text: `When the server makes a backup by itself; one server of the deployment does. ${CRON}`,
      default: '0 2 * * *',
    }),
    verify: truth({
      text: 'Whether each new backup is read back, restored into a scratch database and tried. What has not been tried does not count.',
      default: true,
    }),
    nice: integer(
      { min: 0, max: 19 },
      {
        text: 'How far the threads that make and try backups go behind those that serve, as `nice` counts; on Linux. 0 where a backup must not take longer on a machine that is busy with other things.',
        default: 10,
      },
    ),
    prune: truth({
      text: 'Whether a scheduled backup is followed by the removal of what no rule keeps. Switch it off where the server may not delete, and run `authserver backup prune` where somebody may.',
      default: true,
    }),
    heartbeat_url: optional(
      text({
        text: 'An address that is fetched after each verified backup, and only then, so that somebody hears of it when there is none.',
        default: undefined,
        example: 'https://hc.example.com/ping/...',
        secret: true,
      }),
    ),
    max_age: duration(
      { min: '1m', max: '365d' },
      { text: 'A last verified backup that is older makes `/ready?ops` answer 503.', default: '26h' },
    ),
    recipients: list({
      text: 'Public age keys (`age1...`) that can open backups, besides the recovery key that the first start makes.',
      default: [],
      example: 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p',
      item: recipient,
    }),
    passphrase: optional(
      text({
        text: 'What opens backups, instead of the recovery key and of recipients; at least 16 characters.',
        default: undefined,
        secret: true,
      }),
    ),
    passphrase_file: optional(
      file({
        text: 'A file that holds the passphrase instead.',
        default: undefined,
        example: '/run/secrets/backup-passphrase',
      }),
    ),
    plaintext: truth({
      text: 'Whether backups are not encrypted at all: whoever reads one has every hash, and every private key of the key store `keyfile`.',
      default: false,
    }),
    trusted_signers: list({
      text: 'Public signing keys whose backups are believed, besides those that the database knows: for a restore without a recovery sheet.',
      default: [],
      item: signer,
    }),
  },
);

export const recovery = section('The recovery log: what has changed since the last backup.', {
  log: optional(
    truth({
      text: 'Whether each commit is kept beside the backups too, so that a restore reaches any moment.',
      default: undefined,
      defaultText: '`true` on SQLite',
    }),
  ),
  interval: duration(
    { min: '100ms', max: '10m' },
    { text: 'How often what was committed goes to the backup targets.', default: '1s' },
  ),
  max_lag: duration(
    { min: '1s', max: '24h' },
    {
      text: 'A commit that has not reached the targets after this long makes `/ready?ops` answer 503.',
      default: '1m',
    },
  ),
});

export const drill = section('Rehearsals of a disaster, on a copy.', {
  schedule: text({
    text: `When the server rehearses by itself. ${CRON}`,
    default: 'off',
  }),
  max_age: duration(
    { min: '1h', max: '3650d' },
    { text: 'A last drill that is older is reported as overdue.', default: '100d' },
  ),
});

/** What is wrong with a schedule, or undefined. */
export function scheduleFault(schedule: string): { problem: string; hint: string } | undefined {
  if (schedule === 'off') return undefined;
  const hint = 'Write five fields, such as "0 2 * * *" for 02:00 UTC every day, or off.';
  if (schedule.trim().split(/\s+/).length !== 5) return { problem: 'must have five fields, or be off', hint };
  try {
    const next = readSchedule(schedule).nextRun();
    return next === null ? { problem: 'never comes', hint } : undefined;
  } catch {
    return { problem: 'is no cron schedule', hint };
  }
}
