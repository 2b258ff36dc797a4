import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { has, readDeploy, readDocuments, secrets, unless } from './folder.ts';
import {
  chartManifests,
  containersOf,
  type Manifest,
  ofKind,
  onPostgres,
  type Pod,
  plainManifests,
  podsOf,
  required,
  selects,
  settingsOf,
} from './kubernetes.ts';
import { schemaFaults } from './kubernetes-schema.ts';

const onSqlite = { ...required, 'storage.driver': 'sqlite' };

const kubectl = unless('kubectl').replace('skipped', 'without kustomize');
describe(`the plain manifests for PostgreSQL${kubectl}`, () => check(plainManifests('postgres')));
describe(`the plain manifests for SQLite${kubectl}`, () => check(plainManifests('sqlite')));

// What a skipped `describe` holds is collected all the same, and there would be nothing to collect.
if (has('helm')) {
  describe('the chart on PostgreSQL', () => check(chartManifests(onPostgres)));
  describe('the chart on SQLite', () => check(chartManifests(onSqlite)));
} else it.skip(`the chart on either engine${unless('helm')}`);

describe.skipIf(!has('helm'))(`the chart${unless('helm')}`, () => {
  it.each([
    [{ issuer: '' }, /issuer is required: /],
    [{ existingSecret: '' }, /existingSecret is required: .* the chart makes none/],
    [{ masterKeySecret: '' }, /masterKeySecret is required: .* the chart makes none/],
    [{ 'image.repository': '' }, /image\.repository is required: /],
    [{ 'backup.targets': 'null' }, /backup\.targets is required on PostgreSQL: /],
    [{ 'backup.signingSecret': '' }, /backup\.signingSecret is required: .* the chart makes none/],
    [{ 'config.signing.key_store': 'keyfile' }, /keyfile loses the signing keys with the pod/],
    [{ issuer: 'https://auth.example.com/' }, /issuer.* does not match pattern/],
    [{ replica: '3' }, /additional properties 'replica' not allowed/],
  ])('is not installed with %o', (values, complaint) => {
    expect(() => chartManifests({ ...onPostgres, ...(values as Record<string, string>) })).toThrow(complaint);
  });

  it('asks for no master key where the keys are in Vault', () => {
    const inVault = { 'config.signing.key_store': 'vault_transit', masterKeySecret: '' };
    expect(ofKind(chartManifests({ ...onPostgres, ...inVault }), 'Deployment')).toHaveLength(1);
  });

  it('makes no backups where somebody says that it need not', () => {
    const elsewhere = {
      ...onPostgres,
      'backup.enabled': 'false',
      'backup.targets': 'null',
      'backup.signingSecret': '',
    };
    const names = ofKind(chartManifests(elsewhere), 'CronJob').map(({ metadata }) => metadata.name);
    expect(names).toEqual(['release-authserver-purge']);
  });

  it('migrates without a backup only when somebody says so', () => {
    const [pod] = podsOf(chartManifests({ ...onPostgres, 'migration.args': '{--no-backup}' }));
    expect(pod?.spec.initContainers?.map(({ args }) => args)).toEqual([['migrate', '--no-backup']]);
  });

  it('says the same at every upgrade: it makes up no secret', () => {
    expect(chartManifests(onPostgres)).toEqual(chartManifests(onPostgres));
  });

  it('starts new pods when a setting changes', () => {
    const template = (values: Record<string, string>) =>
      JSON.stringify(podsOf(chartManifests(values))[0]?.metadata);
    expect(template({ ...onPostgres, 'config.oauth.code_lifetime': '30s' })).not.toBe(template(onPostgres));
  });
});

describe('the check against the schemas', () => {
  const [server] = ofKind(plainManifests('postgres'), 'Deployment') as [Manifest];

  it.each([
    ['an unknown field', { ...server.spec, replica: 2 }, '/spec/replica is not a known field'],
    ['a wrong type', { ...server.spec, replicas: 'two' }, 'spec/replicas must be integer'],
    ['a missing field', { ...server.spec, template: undefined }, 'must have required property template'],
  ])('finds %s', async (_case, spec, fault) => {
    const [found] = await schemaFaults({ ...server, spec } as Manifest);
    expect(found).toContain(fault);
  });
});

it('the example of the Secrets has every key that the manifests need, and no value', async () => {
  const examples = readDocuments(readDeploy('kubernetes/secrets.example.yaml')) as (Manifest & {
    readonly stringData: Record<string, string>;
  })[];
  expect(
    Object.fromEntries(
      examples.map(({ metadata, stringData }) => [metadata.name, Object.keys(stringData).sort()]),
    ),
  ).toEqual(
    Object.fromEntries(Object.entries(secrets).map(([name, values]) => [name, Object.keys(values).sort()])),
  );
  for (const example of examples) {
    expect(Object.values(example.stringData).join('')).toBe('');
    expect(await schemaFaults(example)).toEqual([]);
  }
});

/** What holds for every way of running on Kubernetes. */
function check(manifests: readonly Manifest[]): void {
  const pods = podsOf(manifests);
  const server = pods.find(({ owner }) => owner.kind !== 'CronJob')!;
  const [main] = server.spec.containers;
  const config = () => settingsOf(server, main, manifests);

  it.each(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))(
    '%s is what the schema of Kubernetes says',
    async (_title, manifest) => {
      expect(await schemaFaults(manifest)).toEqual([]);
    },
  );

  it('has settings that the product knows, the same in every container', async () => {
    const expected = await config();
    for (const pod of pods) {
      for (const container of containersOf(pod)) {
        expect(await settingsOf(pod, container, manifests)).toEqual(expected);
        expect(container.image).toBe(main.image);
      }
    }
  });

  it('makes no Secret, and asks for those of the example alone', () => {
    expect(ofKind(manifests, 'Secret')).toEqual([]);
    const asked = pods
      .flatMap(containersOf)
      .flatMap(({ envFrom }) => envFrom.flatMap(({ secretRef }) => secretRef?.name ?? []));
    expect(Object.keys(secrets)).toEqual(expect.arrayContaining([...new Set(asked)]));
  });

  it('migrates before traffic', () => {
    expect(server.spec.initContainers?.map(({ args }) => args)).toEqual([['migrate']]);
    expect(main.args).toEqual(['serve']);
  });

  it('probes what the server answers, where it listens', async () => {
    const { server: listener, admin } = await config();
    expect(main.startupProbe?.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(main.livenessProbe?.httpGet).toEqual({ path: '/livez', port: 'http' });
    expect(main.readinessProbe?.httpGet).toEqual({ path: '/ready', port: 'http' });
    const ports = Object.fromEntries(main.ports!.map(({ name, containerPort }) => [name, containerPort]));
    expect(ports).toEqual({ http: listener.address.port, admin: admin.address.port });
    expect([listener.address.host, admin.address.host]).toEqual(['0.0.0.0', '0.0.0.0']);
  });

  it('lets requests finish before it kills', async () => {
    const pause = Number(main.lifecycle?.preStop.exec.command[1] ?? 0);
    const needed = 1000 * pause + (await config()).server.shutdown_wait;
    for (const { spec } of pods) expect(1000 * spec.terminationGracePeriodSeconds).toBeGreaterThan(needed);
  });

  it('keeps keys where pods and upgrades do not reach them', async () => {
    const { state_dir, signing, storage } = await config();
    const mount = main.volumeMounts.find(({ mountPath }) => `${state_dir}/`.startsWith(`${mountPath}/`));
    const claimed = server.owner.spec.volumeClaimTemplates?.map(({ metadata }) => metadata.name) ?? [];
    const inDatabase = storage.driver === 'postgres' && signing.key_store === 'database';
    expect(mount).toBeDefined();
    expect(inDatabase || claimed.includes(mount!.name)).toBe(true);
    if (storage.driver === 'sqlite') {
      expect(server.owner.spec.replicas).toBe(1);
      expect(server.owner.spec.persistentVolumeClaimRetentionPolicy).toEqual({
        whenDeleted: 'Retain',
        whenScaled: 'Retain',
      });
      // The mount itself belongs to root; the server's commands trust the socket only in a folder of its own.
      expect(state_dir).not.toBe(mount!.mountPath);
    } else {
      expect(server.owner.spec.strategy).toMatchObject({ rollingUpdate: { maxUnavailable: 0 } });
    }
  });

  it('runs every container as nobody special', () => {
    for (const pod of pods) {
      expect(pod.spec.automountServiceAccountToken).toBe(false);
      expect(pod.spec.securityContext).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 10001,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      for (const container of containersOf(pod)) {
        expect(container.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.volumeMounts.map(({ mountPath }) => mountPath)).toContain('/tmp');
      }
    }
  });

  it('sends traffic to servers alone, and counts them alone', () => {
    const services = ofKind(manifests, 'Service').map(({ spec }) => spec.selector!);
    const budgets = ofKind(manifests, 'PodDisruptionBudget').map(({ spec }) => spec.selector!.matchLabels);
    const own = ofKind(manifests, 'Deployment', 'StatefulSet').map(({ spec }) => spec.selector!.matchLabels);
    for (const selector of [...services, ...budgets, ...own]) {
      const chosen = pods.filter(({ metadata }) => selects(selector, metadata.labels));
      expect(chosen.map(({ owner }) => owner.kind)).toEqual([server.owner.kind]);
    }
  });

  it('purges and makes backups by CronJobs on PostgreSQL, and leaves it to the server on SQLite', async () => {
    const jobs = pods.filter(({ owner }) => owner.kind === 'CronJob');
    const commands = jobs.map((pod) => containersOf(pod).map(({ args = [] }) => args.join(' ')));
    const isPostgres = (await config()).storage.driver === 'postgres';
    expect(commands.sort()).toEqual(isPostgres ? [[''], ['backup verify --all'], ['purge']] : []);
    for (const { owner, spec } of jobs) {
      expect(owner.spec.concurrencyPolicy).toBe('Forbid');
      expect(spec.restartPolicy).toBe(isBackup({ owner }) ? 'Never' : 'OnFailure');
    }
  });

  it('makes no second backup at once where one was made and is not on every target', () => {
    for (const { owner, spec } of pods.filter(isBackup)) {
      const { backoffLimit, podFailurePolicy } = owner.spec.jobTemplate!.spec;
      const [{ name }] = spec.containers;
      // Whatever a container that has run says; a pod that never ran has no exit code, and is made again.
      const onExitCodes = { containerName: name, operator: 'NotIn', values: [0] };
      expect(podFailurePolicy).toEqual({ rules: [{ action: 'FailJob', onExitCodes }] });
      expect(backoffLimit).toBe(1);
    }
  });

  it('makes backups once: by the CronJob or by the server', async () => {
    const { backup } = await config();
    expect(backup.schedule === 'off').toBe(pods.some(isBackup));
  });

  it('keeps nothing of a backup in a pod: neither the archive, nor the key that signs it, nor what was taken away', async () => {
    const { backup, recovery, state_dir, storage } = await config();
    if (storage.driver === 'sqlite') return expect(recovery.log).not.toBe(false);
    expect(backup.targets.filter((target) => !target.includes('=s3://'))).toEqual([]);
    expect(recovery.log).toBe(true);
    const signing = path.join(state_dir, 'backup-signing.pem');
    for (const pod of pods.filter(({ owner }) => !owner.metadata.name.endsWith('-purge'))) {
      for (const { volumeMounts } of containersOf(pod)) {
        const mount = volumeMounts.find(({ mountPath }) => mountPath === signing);
        expect(mount).toMatchObject({ subPath: 'backup-signing.pem', readOnly: true });
        const volume = pod.spec.volumes.find(({ name }) => name === mount?.name);
        expect(Object.keys(secrets)).toContain(volume?.secret?.secretName);
        // Not to every user: 0440, and the group is ours.
        expect(volume?.secret?.defaultMode).toBe(0o440);
        expect(pod.spec.securityContext['fsGroup']).toBe(10001);
      }
    }
  });
}

/** Whether it makes backups; night.test.ts has what it runs. */
function isBackup({ owner }: Pick<Pod, 'owner'>): boolean {
  return owner.kind === 'CronJob' && owner.metadata.name.endsWith('-backup');
}
