// Owns the check of a manifest against the schema of its kind: what is wrong, what is missing, and, which the schemas of
// Kubernetes do not forbid themselves, what they do not know.

import type { Manifest } from './kubernetes.ts';

/** What the schemas say against a manifest; empty where it is right. */
export async function schemaFaults(manifest: Manifest): Promise<readonly string[]> {
  const { apiVersion, kind } = manifest;
  const model = await modelOf(apiVersion, kind);
  if (!model) return [`there is no ${kind} in ${apiVersion}`];
  const unread = new Set<string>();
  try {
    model.prototype.validate.call(watch(manifest, '', unread, new Map()));
  } catch (error) {
    return [(error as Error).message];
  }
  return [...unread].map((place) => `${place} is not a known field`);
}

interface Model {
  readonly prototype: { validate(this: unknown): void };
}

async function modelOf(apiVersion: string, kind: string): Promise<Model | undefined> {
  const place = `kubernetes-models/${apiVersion}/${kind}`;
  const found = (await import(/* @vite-ignore */ place).catch(() => ({}))) as Readonly<Record<string, Model>>;
  return found[kind];
}

/**
 * A view of `value` that takes out of `unread` each field that somebody looks at. The validators look at every field they
 * know, so that what is left at the end is unknown.
 */
function watch(value: unknown, place: string, unread: Set<string>, views: Map<string, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = views.get(place);
  if (known) return known;
  for (const key of Object.keys(value)) unread.add(`${place}/${key}`);
  const view = new Proxy(value, {
    get(target, key) {
      const inside = `${place}/${String(key)}`;
      unread.delete(inside);
      return watch(Reflect.get(target, key), inside, unread, views);
    },
  });
  views.set(place, view);
  return view;
}
