/** The way from what an operator wrote to the effective settings. It must not know what the settings do. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { readAliases } from './config/aliases.ts';
import { ConfigurationFailure, type Fault, type Origin } from './config/fault.ts';
import type { Facts } from './config/key.ts';
import { keys, type PlacedKey } from './config/keys.ts';
import { rules } from './config/rules.ts';
import type { Environment, Source, Written } from './config/source.ts';
import { CONFIG_VARIABLE, readEnvironment } from './config/source-environment.ts';
import type { Config } from './config/tree.ts';

export { ConfigurationFailure } from './config/fault.ts';
export type { Address } from './config/key.ts';
export type { Config } from './config/tree.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** By the path of the key. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Lines to log once: names that have newer ones, variables without a meaning here. */
  readonly notices: readonly string[];
}

export interface ConfigSources {
  /** `--config FILE`; where absent, AUTHSERVER_CONFIG may name it. */
  readonly file: string | undefined;
  readonly env: Environment;
  /** True where a person watches standard output. */
  readonly terminal: boolean;
}

const ABSENT: Written = { value: undefined, origin: { from: 'default' } };

/** Reads the settings: default < file < environment. Throws one ConfigurationFailure that holds every fault. */
export async function loadConfig({ file, env, terminal }: ConfigSources): Promise<LoadedConfig> {
  const fromFile = await readConfigFile(file ?? (env[CONFIG_VARIABLE] || undefined), env);
  const fromEnvironment = readEnvironment(env);
  const aliases = readAliases(env, fromEnvironment, fromFile);
  const faults: Fault[] = [...fromFile.faults, ...fromEnvironment.faults];
  const find = (key: string): Written =>
    [fromEnvironment, aliases, fromFile].map(({ values }) => values.get(key)).find((found) => found) ??
    ABSENT;

  const values = new Map<string, unknown>();
  const origins = new Map<string, Origin>();
  for (const placed of keys) {
    const written = find(placed.path);
    // The state directory comes first in the tree, so that the defaults of later keys can lie in it.
    const facts: Facts = { stateDir: String(values.get('state_dir') ?? ''), terminal };
    values.set(placed.path, read(placed, written, facts, faults));
    origins.set(placed.path, written.origin);
  }
  const config = unflatten(values) as unknown as Config;
  faults.push(...brokenRules(config, origins, faults));
  if (faults.length > 0) throw new ConfigurationFailure(faults);
  return { config, origins, notices: aliases.notices };
}

async function readConfigFile(file: string | undefined, env: Environment): Promise<Source> {
  if (file === undefined) return { values: new Map(), faults: [] };
  const origin = { from: 'file', file, line: 1, column: 1 } as const;
  try {
    const text = await readFile(path.resolve(file), 'utf8');
    const { readYaml } = await import('./config/source-file.ts');
    return readYaml(file, text, env);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const problem = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
    return { values: new Map(), faults: [{ path: '', origin, problem }] };
  }
}

/** The value of a key; its default when what was written is at fault. */
function read({ path, key }: PlacedKey, written: Written, facts: Facts, faults: Fault[]): unknown {
  const fallback = () => key.schema.parse(key.default(facts));
  if (written.value === undefined) return fallback();
  const result = key.schema.safeParse(written.value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => issue.message).join(' and ');
  const example = key.example && !key.secret ? { hint: `Example: ${key.example}` } : {};
  faults.push({
    path,
    origin: written.origin,
    problem: problems + quote(key.secret, written.value),
    ...example,
  });
  return fallback();
}

/** A password in an address, a private key: in a place that is not made for secrets somebody has put one. */
const HOLDS_SECRET = /:\/\/[^/\s]*@|-SECRET-|PRIVATE KEY/i;

/** What was written, where showing it is safe. */
function quote(secret: boolean, value: unknown): string {
  if (typeof value === 'string' && HOLDS_SECRET.test(value)) return '';
  if (secret || (typeof value !== 'string' && typeof value !== 'number')) return '';
  return `, not ${JSON.stringify(value)}`;
}

function brokenRules(
  config: Config,
  origins: ReadonlyMap<string, Origin>,
  faults: readonly Fault[],
): Fault[] {
  const faulty = new Set(faults.map((fault) => fault.path));
  return rules
    .filter((rule) => !rule.about.some((key) => faulty.has(key)))
    .flatMap((rule) => {
      const broken = rule.check(config);
      const origin = rule.about
        .map((key) => origins.get(key))
        .find((from) => from && from.from !== 'default');
      return broken ? [{ path: rule.about[0], origin: origin ?? { from: 'default' }, ...broken }] : [];
    });
}

/** `{'a.b': 1}` as `{a: {b: 1}}`. */
function unflatten(values: ReadonlyMap<string, unknown>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [path, value] of values) {
    const names = path.split('.');
    const last = names.pop() as string;
    let node = root;
    for (const name of names) {
      node[name] ??= {};
      node = node[name] as Record<string, unknown>;
    }
    node[last] = value;
  }
  return root;
}
