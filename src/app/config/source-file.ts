import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Fault, Origin } from './fault.ts';
import { keys, sections } from './keys.ts';
import type { Environment, Source } from './source.ts';
import { suggest } from './suggest.ts';

/** Reads a YAML file's text. `${NAME}` in a value stands for an environment variable, `$${NAME}` for itself. */
export function readYaml(file: string, text: string, env: Environment): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const values = new Map<string, { value: unknown; origin: Origin }>();
  const faults: Fault[] = [];
  const at = (offset: number | undefined): Origin => {
    const { line, col } = lines.linePos(offset ?? 0);
    return { from: 'file', file, line, column: col };
  };

  const visit = (found: unknown, path: string, offset: number | undefined): void => {
    const node = isAlias(found) ? found.resolve(document) : (found as Node | null | undefined);
    const origin = at(node?.range?.[0] ?? offset);
    if (keyPaths.has(path)) {
      const value = plainValue(node, env, (problem) => faults.push({ path, origin, problem }));
      if (value !== null && value !== undefined) values.set(path, { value, origin });
    } else if (isMap(node)) {
      for (const pair of node.items) {
        const name = String(isScalar(pair.key) ? pair.key.value : pair.key);
        visit(pair.value, path === '' ? name : `${path}.${name}`, (pair.key as Node | null)?.range?.[0]);
      }
    } else if (!sectionPaths.has(path)) {
      faults.push(unknownKey(path, at(offset)));
    } else if (!(node === null || node === undefined || (isScalar(node) && node.value === null))) {
      faults.push({ path, origin, problem: 'must be a group of keys' });
    }
  };

  for (const error of document.errors) {
    const problem = `is not YAML: ${error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '')}`;
    faults.push({ path: '', origin: at(error.pos[0]), problem });
  }
  if (document.errors.length === 0) visit(document.contents, '', 0);
  return { values, faults };
}

const keyPaths: ReadonlySet<string> = new Set(keys.map(({ path }) => path));
const sectionPaths: ReadonlySet<string> = new Set(sections.map(({ path }) => path));

function unknownKey(path: string, origin: Origin): Fault {
  const hint = suggest(path, [...keyPaths, ...sectionPaths]);
  return { path, origin, problem: 'is not a known key', ...(hint && { hint }) };
}

function plainValue(
  node: Node | null | undefined,
  env: Environment,
  fail: (problem: string) => void,
): unknown {
  if (isSeq(node)) return node.items.map((item) => plainValue(item as Node, env, fail));
  if (!isScalar(node)) return node;
  return typeof node.value === 'string' ? expand(node.value, env, fail) : node.value;
}

function expand(text: string, env: Environment, fail: (problem: string) => void): string {
  return text.replaceAll(/(\$?)\$\{([^}]*)\}/g, (whole, dollar: string, name: string) => {
    if (dollar === '$') return whole.slice(1);
    const value = env[name];
    if (value === undefined) fail(`needs the environment variable ${name}, which is not set`);
    return value ?? '';
  });
}
