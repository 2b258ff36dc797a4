import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { deploy, has, readDeploy, readDocuments, run, settings, unless } from './folder.ts';
import { environment, only, readStages, texts } from './image.ts';

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt: readonly string[];
  readonly volumes: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly restart: string;
  readonly stop_grace_period?: string;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const given = { POSTGRES_PASSWORD: '3f9a1c', AUTHSERVER_ADMIN_API_KEY: '9f41c07bb1de4a6c8d20e7f35a' };
const image = readStages().at(-1)!;

describe.each(['sqlite', 'postgres'])('the compose file for %s', (driver) => {
  const text = readDeploy(`compose/${driver}.yaml`);
  const { services, volumes } = readDocuments(text)[0] as ComposeFile;
  const server = services['authserver']!;
  const purge = services['authserver-purge']!;
  const ours = Object.values(services).filter((service) => service.image === 'authserver');

  it('has settings that the product knows, the same for every service', async () => {
    const all = await Promise.all(ours.map((service) => settings(interpolated(service.environment))));
    const [{ storage, state_dir }] = all as [(typeof all)[0]];
    for (const other of all) expect(other).toMatchObject({ storage, state_dir });
    expect(storage.driver).toBe(driver);
  });

  it('keeps state in the volume of the image', async () => {
    const { state_dir, backup } = await settings(interpolated(server.environment));
    expect(state_dir).toBe(only(image, 'VOLUME'));
    const [, backups = ''] = backup.targets[0]?.split('=') ?? [];
    for (const { volumes: mounts, user } of ours) {
      expect(mounts).toEqual([`authserver-data:${state_dir}`, `authserver-backups:${backups}`]);
      expect(user).toBe(only(image, 'USER'));
    }
    const used = Object.values(services).flatMap((service) =>
      service.volumes.map((mount) => mount.split(':')[0]),
    );
    expect(Object.keys(volumes).sort()).toEqual([...new Set(used)].sort());
  });

  it('holds no secret and no default for one', () => {
    const secret = /\$\{([A-Z_]*(?:PASSWORD|KEY|SECRET|TOKEN)[A-Z_]*)([^}]*)\}/g;
    const found = [...text.matchAll(secret)];
    expect(found.length).toBeGreaterThan(0);
    for (const [, , rest] of found) expect(rest).toMatch(/^:\?/);
    for (const service of ours) {
      for (const [name, value] of Object.entries(service.environment)) {
        if (/PASSWORD|KEY|SECRET|TOKEN|DSN/.test(name)) expect(value).toContain('${');
      }
    }
  });

  it('runs every container of ours without rights', () => {
    for (const service of ours) {
      expect(service.read_only).toBe(true);
      expect(service.cap_drop).toEqual(['ALL']);
      expect(service.security_opt).toEqual(['no-new-privileges:true']);
      expect(service.tmpfs?.[0]).toMatch(/^\/tmp:/);
    }
    for (const port of server.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('purges on demand only, as the server would', () => {
    expect(purge).toMatchObject({ command: ['purge'], profiles: ['purge'], restart: 'no' });
    expect(purge.image).toBe(server.image);
  });

  it('makes a backup and looks at all of them on demand, as the server would', () => {
    for (const [name, command] of [
      ['authserver-backup', ['backup', 'create']],
      ['authserver-verify', ['backup', 'verify', '--read-data=1/7']],
    ] as const) {
      expect(services[name]).toMatchObject({ command, profiles: ['backup'], restart: 'no' });
      expect(services[name]?.image).toBe(server.image);
    }
  });

  it('has a folder for backups that the user of the image may write to, and sends revocations there', async () => {
    const { backup, recovery } = await settings(interpolated(server.environment));
    const [, folder = ''] = backup.targets[0]?.split('=') ?? [];
    expect(texts(image, 'RUN').join('\n')).toMatch(
      new RegExp(`install -d -o 10001 -g 10001 -m 0700 .*${folder}( |$)`, 'm'),
    );
    // On SQLite it is on by itself, and carries everything.
    expect(recovery.log ?? driver === 'sqlite').toBe(true);
  });

  it('lets requests finish before it kills', async () => {
    const { shutdown_wait } = (await settings(interpolated(server.environment))).server;
    expect(1000 * Number.parseInt(server.stop_grace_period ?? '', 10)).toBeGreaterThan(shutdown_wait);
  });

  it('migrates before traffic', async () => {
    const { auto_migrate } = (await settings(interpolated(server.environment))).storage;
    if (driver === 'sqlite') expect(auto_migrate ?? true).toBe(true);
    else {
      expect(auto_migrate).toBe(false);
      expect(services['authserver-migrate']?.command).toEqual(['migrate']);
      expect(server.depends_on?.['authserver-migrate']).toEqual({
        condition: 'service_completed_successfully',
      });
      expect(services['authserver-migrate']?.depends_on?.['postgres']).toEqual({
        condition: 'service_healthy',
      });
    }
  });

  it.skipIf(!has('compose-go'))(`is what Compose's own parser takes${unless('compose-go')}`, () => {
    const file = path.join(deploy, 'compose', `${driver}.yaml`);
    expect(run('compose-go', ['-no-interpolation', file])).toContain('authserver-data');
    expect(() => run('compose-go', [file])).toThrow(/openssl rand -hex 24/);
  });
});

/** The variables of a service, as Compose would hand them on, above those of the image. */
function interpolated(variables: Readonly<Record<string, string>>): Record<string, string> {
  const fill = (value: string) =>
    value.replaceAll(/\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}/g, (_whole, name: string, fallback = '') =>
      name in given ? given[name as keyof typeof given] : fallback,
    );
  const own = Object.entries(variables).map(([name, value]) => [name, fill(value)]);
  return { ...environment(image), ...Object.fromEntries(own) };
}
