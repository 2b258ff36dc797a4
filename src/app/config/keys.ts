import type { Key, Section } from './key.ts';
import { tree } from './tree.ts';

/** A key with its place in the tree. */
export interface PlacedKey {
  /** `storage.sqlite.path` */
  readonly path: string;
  readonly key: Key<unknown>;
  /** `AUTHSERVER_STORAGE_SQLITE_PATH` */
  readonly variable: string;
}

export interface PlacedSection {
  /** Empty for the root. */
  readonly path: string;
  readonly text: string;
}

type Node = Key<unknown> | Section<Readonly<Record<string, unknown>>>;

function isSection(node: Node): node is Section<Readonly<Record<string, unknown>>> {
  return 'keys' in node;
}

function collect(node: Node, path: string, keys: PlacedKey[], sections: PlacedSection[]): void {
  if (!isSection(node)) {
    keys.push({ path, key: node, variable: `AUTHSERVER_${path.toUpperCase().replaceAll('.', '_')}` });
    return;
  }
  sections.push({ path, text: node.text });
  for (const [name, child] of Object.entries(node.keys)) {
    collect(child as Node, path === '' ? name : `${path}.${name}`, keys, sections);
  }
}

function flatten(): { readonly keys: readonly PlacedKey[]; readonly sections: readonly PlacedSection[] } {
  const keys: PlacedKey[] = [];
  const sections: PlacedSection[] = [];
  collect(tree as Node, '', keys, sections);
  return { keys, sections };
}

/** Every key and every section, in the order of the tree. */
export const { keys, sections } = flatten();
