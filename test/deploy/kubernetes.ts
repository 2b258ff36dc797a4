// Owns the manifests as a cluster would get them, the plain ones by kustomize and the chart by helm, and what tests read in them.

import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Config } from '../../src/app/config.ts';
import { deploy, has, readDocuments, run, secrets, settings } from './folder.ts';

type Labels = Readonly<Record<string, string>>;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly selector?: Labels & { readonly matchLabels: Labels };
    readonly replicas?: number;
    readonly strategy?: unknown;
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
    readonly persistentVolumeClaimRetentionPolicy?: unknown;
    readonly concurrencyPolicy?: string;
    readonly template?: PodTemplate;
    readonly jobTemplate?: {
      readonly spec: {
        readonly template: PodTemplate;
        readonly backoffLimit?: number;
        readonly podFailurePolicy?: unknown;
      };
    };
  };
}

interface PodTemplate {
  readonly metadata: { readonly labels: Labels };
  readonly spec: PodSpec;
}

export interface PodSpec {
  readonly restartPolicy?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly [Container];
  readonly volumes: readonly {
    readonly name: string;
    readonly emptyDir?: unknown;
    readonly configMap?: { readonly name: string };
    readonly secret?: { readonly secretName: string; readonly defaultMode?: number };
  }[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly envFrom: readonly {
    readonly configMapRef?: { readonly name: string };
    readonly secretRef?: { readonly name: string };
  }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: unknown;
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
    readonly readOnly?: boolean;
  }[];
  readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string; readonly port: string } };
}

/** A pod, and what makes it. */
export interface Pod extends PodTemplate {
  readonly owner: Manifest;
}

export const chart = path.join(deploy, 'helm', 'authserver');

/** Values for the chart: what it needs on either engine, and what it needs on PostgreSQL. */
export const required = {
  'image.repository': 'registry.example.com/authserver',
  issuer: 'https://auth.example.com',
  existingSecret: 'authserver-secrets',
};
export const onPostgres = {
  ...required,
  masterKeySecret: 'authserver-master-key',
  'ingress.enabled': 'true',
  'backup.targets': '{away=s3://backups.example.com/authserver?region=eu-central-1}',
  'backup.signingSecret': 'authserver-backup-signing',
};

/** `kubectl kustomize` where there is one; else the files that the kustomizations name, before their images are set. */
export function plainManifests(variant: string): readonly Manifest[] {
  const folder = path.join(deploy, 'kubernetes', variant);
  if (has('kubectl')) return readDocuments(run('kubectl', ['kustomize', folder])) as Manifest[];
  return filesOf(folder);
}

function filesOf(folder: string): readonly Manifest[] {
  const read = (file: string) => readDocuments(readFileSync(path.join(folder, file), 'utf8'));
  const [{ resources }] = read('kustomization.yaml') as [{ resources: readonly string[] }];
  return resources.flatMap((name) =>
    name.endsWith('.yaml') ? (read(name) as Manifest[]) : filesOf(path.join(folder, name)),
  );
}

/** `helm template` with `--set` for each value. */
export function chartManifests(values: Readonly<Record<string, string>>): readonly Manifest[] {
  const sets = Object.entries(values).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  return readDocuments(run('helm', ['template', 'release', chart, ...sets])) as Manifest[];
}

export function ofKind(manifests: readonly Manifest[], ...kinds: readonly string[]): readonly Manifest[] {
  return manifests.filter(({ kind }) => kinds.includes(kind));
}

/** Every kind of pod that the manifests make. */
export function podsOf(manifests: readonly Manifest[]): readonly Pod[] {
  return manifests.flatMap((owner) => {
    const template = owner.spec?.template ?? owner.spec?.jobTemplate?.spec.template;
    return template ? [{ ...template, owner }] : [];
  });
}

export function containersOf({ spec }: Pod): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

/** Whether labels have all that a selector asks for. */
export function selects(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** The settings with which a container starts. Fails on every key that the product does not have. */
export async function settingsOf(
  pod: Pod,
  { env = [], envFrom }: Container,
  manifests: readonly Manifest[],
): Promise<Config> {
  const variables: Record<string, string> = {};
  for (const { configMapRef, secretRef } of envFrom) {
    Object.assign(variables, configMapRef && dataOf(manifests, configMapRef.name));
    Object.assign(variables, secretRef && secrets[secretRef.name]);
  }
  for (const { name, value } of env) variables[name] = value;
  const config = pod.spec.volumes.find(({ configMap }) => configMap)?.configMap;
  if (!config) return settings(variables);

  const folder = await mkdtemp(path.join(tmpdir(), 'authserver-config-'));
  try {
    for (const [name, text] of Object.entries(dataOf(manifests, config.name))) {
      await writeFile(path.join(folder, name), text);
    }
    const file = path.join(folder, path.basename(variables.AUTHSERVER_CONFIG ?? ''));
    return await settings({ ...variables, AUTHSERVER_CONFIG: file });
  } finally {
    await rm(folder, { recursive: true });
  }
}

function dataOf(manifests: readonly Manifest[], name: string): Readonly<Record<string, string>> {
  return ofKind(manifests, 'ConfigMap').find(({ metadata }) => metadata.name === name)?.data ?? {};
}
