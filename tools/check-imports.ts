// Holds the house to its floors: who may import whom in src/. The rules are a table; the checking knows no room by name.
// Run as a command it prints each breach as `file:line imports X: reason` and exits with 1 if there is one.

import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** From the top of the house down. Imports go down, floors may be skipped, rooms on one floor do not know each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['cli'],
  ['app'],
  ['admin'],
  ['oauth'],
  ['ops', 'tokens', 'signin'],
  ['keys', 'audit', 'flow', 'identity', 'registry'],
  ['archive', 'store', 'http'],
  ['kernel'],
];

interface Ban {
  readonly from: (room: string) => boolean;
  readonly to: (file: string) => boolean;
  readonly reason: string;
}

/** What the floors alone would allow. */
const BANS: readonly Ban[] = [
  {
    from: (room) => room === 'ops',
    to: (file) => roomOf(file) === 'http',
    reason: 'ops does not know http; what a drill must boot is handed in by app',
  },
  {
    from: (room) => room !== 'app' && room !== 'store',
    to: (file) => /^src\/store\/(sqlite|postgres)\//.test(file),
    reason: 'only app names a database driver',
  },
];

const OWNERLESS = new Set(['utils', 'helpers', 'common', 'services', 'types']);

/** A file by its path from the root of the project, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Breach {
  readonly file: string;
  readonly line: number;
  /** What the file does, such as `imports src/cli/main.ts`. */
  readonly what: string;
  readonly reason: string;
}

interface Import {
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

/**
 * Every breach in src/. Its tests may import from any room; what anything imports must be among the given files, which
 * therefore include those outside of src/.
 */
export function checkImports(files: readonly SourceFile[]): Breach[] {
  const known = new Set(files.map((file) => file.path));
  const sources = files.filter((file) => file.path.startsWith('src/'));
  const house = sources.filter((file) => !file.path.endsWith('.test.ts'));
  const imports = house.flatMap(importsOf);
  const dangling = sources.flatMap(importsOf).filter((edge) => !known.has(edge.to));
  return [
    ...dangling.map((edge) => breach(edge, 'there is no such file')),
    ...house.flatMap(checkName),
    ...house.flatMap(checkDefaultExport),
    ...imports.flatMap(checkDirection),
    ...findCycles(imports),
  ];
}

/** The lines that are printed for breaches. */
export function formatBreaches(breaches: readonly Breach[]): string[] {
  return breaches.map(({ file, line, what, reason }) => `${file}:${line} ${what}: ${reason}`);
}

/** The TypeScript files under a project's root. */
export function readSources(root: string): SourceFile[] {
  const paths = globSync('{src,test,tools,bench}/**/*.ts', { cwd: root }).sort();
  return paths.map((file) => ({
    path: file.split(path.sep).join('/'),
    text: readFileSync(path.join(root, file), 'utf8'),
  }));
}

const SPECIFIERS = [
  /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"](?<to>\.[^'"]*\.ts)['"]/gm,
  /^\s*import\s*['"](?<to>\.[^'"]*\.ts)['"]/gm,
  /\bimport\(\s*['"](?<to>\.[^'"]*\.ts)['"]/g,
  // The file of a worker thread is an import by another name.
  /\bnew URL\(\s*['"](?<to>\.[^'"]*\.ts)['"]\s*,\s*import\.meta\.url/g,
];

/** Imports of our own TypeScript; a package or a JSON file is on no floor. */
function importsOf(file: SourceFile): Import[] {
  const folder = path.posix.dirname(file.path);
  return SPECIFIERS.flatMap((pattern) =>
    [...file.text.matchAll(pattern)].map((match) => {
      const specifier = match.groups?.['to'] ?? '';
      const at = match.index + match[0].lastIndexOf(specifier);
      return { from: file.path, to: path.posix.join(folder, specifier), line: lineAt(file.text, at) };
    }),
  );
}

function checkDirection(edge: Import): Breach[] {
  const from = roomOf(edge.from);
  const to = roomOf(edge.to);
  if (from === undefined) return [];
  if (to === undefined) return [breach(edge, 'src imports only from the rooms of src')];
  const ban = BANS.find((candidate) => candidate.from(from) && candidate.to(edge.to));
  if (ban) return [breach(edge, ban.reason)];
  const fall = floorOf(to) - floorOf(from);
  if (from === to || fall > 0) return [];
  return [
    breach(
      edge,
      fall === 0 ? `${from} and ${to} are on one floor` : `${to} is above ${from}; imports go down`,
    ),
  ];
}

function checkName(file: SourceFile): Breach[] {
  const folders = file.path.split('/').slice(1, -1);
  const at = { file: file.path, line: 1 };
  const ownerless = folders.filter((folder) => OWNERLESS.has(folder));
  const breaches = ownerless.map((name) => ({
    ...at,
    what: `is in ${name}`,
    reason: 'such a room has no owner',
  }));
  if (roomOf(file.path) !== undefined || ownerless.length > 0) return breaches;
  return [{ ...at, what: 'is in no room', reason: `the rooms of src are ${FLOORS.flat().join(', ')}` }];
}

function checkDefaultExport(file: SourceFile): Breach[] {
  const match = /^export\s+default\b|^export\s*\{[^}]*\bas default\b/m.exec(file.text);
  if (!match) return [];
  const line = lineAt(file.text, match.index);
  return [{ file: file.path, line, what: 'exports default', reason: 'a thing has one name everywhere' }];
}

/** One breach for each import that closes a circle, found depth first. */
function findCycles(imports: readonly Import[]): Breach[] {
  const importsFrom = Map.groupBy(imports, (edge) => edge.from);
  const breaches: Breach[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (file: string): void => {
    if (done.has(file)) return;
    trail.push(file);
    for (const edge of importsFrom.get(file) ?? []) {
      const start = trail.indexOf(edge.to);
      if (start === -1) visit(edge.to);
      else breaches.push(breach(edge, `closes the cycle ${[...trail.slice(start), edge.to].join(' -> ')}`));
    }
    trail.pop();
    done.add(file);
  };
  for (const file of importsFrom.keys()) visit(file);
  return breaches;
}

function breach(edge: Import, reason: string): Breach {
  return { file: edge.from, line: edge.line, what: `imports ${edge.to}`, reason };
}

function roomOf(file: string): string | undefined {
  const [top, room, ...rest] = file.split('/');
  return top === 'src' && room !== undefined && rest.length > 0 && floorOf(room) >= 0 ? room : undefined;
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

if (import.meta.main) {
  const breaches = checkImports(readSources(path.dirname(import.meta.dirname)));
  for (const line of formatBreaches(breaches)) console.error(line);
  process.exitCode = breaches.length > 0 ? 1 : 0;
}
