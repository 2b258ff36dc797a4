/** Rules about backups. */
import { scheduleFault } from './backup.ts';
import { readTarget } from './backup-target.ts';
import { readHttpUrl } from './http-url.ts';
import type { Rule } from './rule.ts';
import type { Config } from './tree.ts';

type Broken = ReturnType<Rule['check']>;

const keepKeys = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'].map((kind) => `backup.keep.${kind}`);

export const backupRules: readonly Rule[] = [
  { about: ['backup.targets'], check: ({ backup }) => targetsFault(backup.targets) },
  { about: ['backup.schedule'], check: ({ backup }) => scheduleFault(backup.schedule) },
  { about: ['drill.schedule'], check: ({ drill }) => scheduleFault(drill.schedule) },
  {
    about: ['backup.passphrase', 'backup.passphrase_file', 'backup.recipients', 'backup.plaintext'],
    check: ({ backup }) => openerFault(backup),
  },
  {
    about: ['backup.passphrase'],
    check: ({ backup: { passphrase } }) =>
      passphrase !== undefined && passphrase.length < 16
        ? { problem: 'must have at least 16 characters', hint: 'Take six words by chance, or leave it out.' }
        : undefined,
  },
  {
    about: ['backup.keep.last', ...keepKeys],
    check: ({ backup }) =>
      Object.values(backup.keep).every((count) => count === 0)
        ? {
            problem: 'and all other counts of backup.keep are 0',
            hint: 'Keep something, such as daily: 7, weekly: 4, monthly: 3.',
          }
        : undefined,
  },
  {
    about: ['backup.heartbeat_url'],
    check: ({ backup }) => heartbeatFault(backup.heartbeat_url),
  },
];

function heartbeatFault(text: string | undefined): Broken {
  if (text === undefined) return undefined;
  const url = readHttpUrl(text);
  if (!url)
    return { problem: 'must be an http:// or https:// address', hint: 'Leave it out if nobody listens.' };
  if (url.username === '' && url.password === '') return undefined;
  return {
    problem: 'must hold no user and no password: they would not be sent',
    hint: 'Use an address whose path is the secret, such as https://hc.example.com/ping/...',
  };
}

function targetsFault(targets: readonly string[]): Broken {
  const hint = 'Write name=/folder or name=s3://bucket/prefix.';
  if (targets.length === 0) return { problem: 'must hold at least one target', hint };
  const read = targets.flatMap((text) => {
    const found = readTarget(text);
    return 'target' in found ? [found.target] : [];
  });
  const places = read.map((each) =>
    each.kind === 'folder' ? each.folder : `${each.endpoint ?? ''} ${each.bucket}/${each.prefix}`,
  );
  const twice =
    read.map(({ name }) => name).find((name, at, names) => names.indexOf(name) !== at) ??
    places.find((place, at) => places.indexOf(place) !== at);
  if (twice === undefined) return undefined;
  return { problem: `holds ${twice.trim()} twice`, hint: 'Give each target its own name and its own place.' };
}

function openerFault({ passphrase, passphrase_file, recipients, plaintext }: Config['backup']): Broken {
  const hint = 'Keep one of them.';
  if (passphrase !== undefined && passphrase_file !== undefined)
    return { problem: 'and passphrase_file must not both be there', hint };
  const hasPassphrase = passphrase !== undefined || passphrase_file !== undefined;
  if (hasPassphrase && recipients.length > 0)
    return {
      problem:
        '(or passphrase_file) must not be there together with recipients: age encrypts to the one or to the others',
      hint,
    };
  if (plaintext && (hasPassphrase || recipients.length > 0))
    return { problem: 'or recipients are of no use while backup.plaintext is true', hint };
  return undefined;
}
