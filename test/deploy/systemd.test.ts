import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deploy, has, readDeploy, run, settings, unless } from './folder.ts';

const folder = path.join(deploy, 'systemd');
const units = readdirSync(folder).filter((name) => /\.(service|timer)$/.test(name));
const services = units.filter((name) => name.endsWith('.service'));

/** The values of a directive, in the order of the file. */
function values(unit: string, directive: string): string[] {
  const lines = readDeploy(path.join('systemd', unit)).split('\n');
  return lines
    .filter((line) => line.startsWith(`${directive}=`))
    .map((line) => line.slice(directive.length + 1));
}

describe('the units of systemd', () => {
  it.each(services)(
    '%s runs the pinned Node, as its own user, with its state where the settings say',
    (unit) => {
      // night.test.ts has the one that takes a shell.
      const commands = [...values(unit, 'ExecStartPre'), ...values(unit, 'ExecStart')].filter(
        (command) => !command.startsWith('/bin/sh '),
      );
      for (const command of commands) {
        expect(command).toMatch(
          /^\/opt\/authserver\/bin\/node \/opt\/authserver\/bin\/authserver (serve|migrate|purge|backup verify --read-data=1\/7) --config \/etc\/authserver\/config\.yaml$/,
        );
      }
      expect(values(unit, 'User')).toEqual(['authserver']);
      expect(values(unit, 'StateDirectory')).toEqual(['authserver']);
      expect(values(unit, 'StateDirectoryMode')).toEqual(['0700']);
      expect(values(unit, 'Environment')).toContain('AUTHSERVER_STATE_DIR=/var/lib/authserver');
      expect(readDeploy('systemd/authserver.sysusers.conf')).toMatch(/^u authserver /m);
    },
  );

  it('every service is hardened alike', () => {
    const hardening = (unit: string) =>
      readDeploy(path.join('systemd', unit)).match(/^# Nothing may be gained[\s\S]*?UMask=0077$/m)?.[0];
    expect(hardening('authserver.service')).toBeDefined();
    for (const unit of services) expect(hardening(unit)).toBe(hardening('authserver.service'));
  });

  it('the server migrates before traffic, for as long as that takes, and reloads on SIGHUP', () => {
    expect(values('authserver.service', 'ExecStartPre')[0]).toContain(' migrate ');
    expect(values('authserver.service', 'TimeoutStartSec')).toEqual(['infinity']);
    expect(values('authserver.service', 'ExecReload')).toEqual(['/bin/kill -HUP $MAINPID']);
  });

  it('a backup and a look at all of them take as long as they take', () => {
    for (const unit of ['authserver-backup.service', 'authserver-verify.service']) {
      expect(values(unit, 'TimeoutStartSec')).toEqual(['infinity']);
    }
  });

  it('a second disk for backups may be written to, by the server too, and need not be there', () => {
    for (const unit of services.filter((name) => name !== 'authserver-purge.service')) {
      expect(values(unit, 'ReadWritePaths')).toEqual(['-/var/backups/authserver']);
    }
  });

  it('every timer has its service', () => {
    const timers = units.filter((name) => name.endsWith('.timer'));
    expect(timers).toHaveLength(3);
    for (const timer of timers) expect(services).toContain(timer.replace('.timer', '.service'));
  });

  it('the settings that come with them are settings, and a stop lets requests finish', async () => {
    const { server, state_dir } = await settings({}, path.join(folder, 'config.yaml'));
    expect(state_dir).toBe('/var/lib/authserver');
    for (const unit of services) {
      expect(1000 * Number.parseInt(values(unit, 'TimeoutStopSec')[0] ?? '', 10)).toBeGreaterThan(
        server.shutdown_wait,
      );
    }
  });
});

describe.skipIf(!has('systemd-analyze'))(`systemd-analyze${unless('systemd-analyze')}`, () => {
  /** The units as they are, but for a program that this machine has. */
  let installed: string;

  beforeAll(async () => {
    installed = await mkdtemp(path.join(tmpdir(), 'authserver-units-'));
    for (const unit of units) {
      const text = readDeploy(path.join('systemd', unit)).replaceAll(
        '/opt/authserver/bin/node',
        process.execPath,
      );
      await writeFile(path.join(installed, unit), text);
    }
  });
  afterAll(() => rm(installed, { recursive: true, force: true }));

  it('verify finds nothing to say', () => {
    const files = units.map((unit) => path.join(installed, unit));
    expect(run('sh', ['-c', 'systemd-analyze verify --man=no "$@" 2>&1', '-', ...files])).toBe('');
  });

  it('verify would notice a mistake', async () => {
    const broken = path.join(installed, 'broken.service');
    await writeFile(broken, '[Service]\nExecStart=/nowhere/authserver\nProtectSystm=strict\n');
    expect(() => run('systemd-analyze', ['verify', '--man=no', broken])).toThrow(/nowhere/);
  });

  it.each(services)('security gives %s an exposure of 1.5 at most', (unit) => {
    const file = path.join(installed, unit);
    expect(run('systemd-analyze', ['security', '--offline=yes', '--threshold=15', file])).toContain('OK');
  });

  it.each(services)('%s lets a thread go behind the others, and nothing else of @resources', (unit) => {
    const allowed = callsAllowed(values(unit, 'SystemCallFilter'));
    expect(members('@resources').filter((call) => allowed.has(call))).toEqual(['setpriority']);
    expect(allowed.has('read')).toBe(true);
  });

  it('security would notice lost hardening', async () => {
    const bare = path.join(installed, 'bare.service');
    await writeFile(bare, readDeploy('systemd/authserver.service').replace(/^SystemCallFilter=.*\n/gm, ''));
    expect(() => run('systemd-analyze', ['security', '--offline=yes', '--threshold=15', bare])).toThrow();
  });

  it.each([
    ['authserver-purge.timer', '*-*-* *:00:00'],
    ['authserver-backup.timer', '*-*-* 02:00:00 UTC'],
    ['authserver-verify.timer', '*-*-* 05:00:00 UTC'],
  ])('%s starts at %s', (timer, normalized) => {
    const [when = ''] = values(timer, 'OnCalendar');
    expect(run('systemd-analyze', ['calendar', when])).toContain(`Normalized form: ${normalized}\n`);
  });
});

/** The system calls in a set, those of the sets in it as well. */
function members(set: string): readonly string[] {
  return set.startsWith('@') ? (callSets().get(set) ?? []).flatMap(members) : [set];
}

/** What each set names, as one call of the program prints all of them. */
const callSets = once(() => {
  const blocks = run('systemd-analyze', ['syscall-filter']).split(/\n(?=@)/);
  return new Map(
    blocks.map((block) => {
      const [set = '', ...lines] = block.split('\n').map((line) => line.trim());
      return [set, lines.filter((line) => line !== '' && !line.startsWith('#'))] as const;
    }),
  );
});

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** What is left of the directives in the order of the file, each of which adds or, with `~`, takes away (systemd.exec(5)). */
function callsAllowed(filters: readonly string[]): ReadonlySet<string> {
  let allowed: ReadonlySet<string> = new Set();
  for (const filter of filters) {
    const named = new Set(filter.replace('~', '').split(' ').flatMap(members));
    allowed = filter.startsWith('~') ? allowed.difference(named) : allowed.union(named);
  }
  return allowed;
}
