// Owns how tests read the Dockerfile: its instructions, and what a COPY of the build context brings.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { readDeploy, root } from './folder.ts';

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** One stage: FROM and what follows it. */
export type Stage = readonly Instruction[];

/** The stages of the Dockerfile, without what stands before the first FROM. */
export function readStages(): readonly Stage[] {
  const text = readDeploy('docker/Dockerfile')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '');
  const stages: Instruction[][] = [];
  for (const line of text.split('\n').filter(Boolean)) {
    const [name = '', ...rest] = line.split(' ');
    if (name === 'FROM') stages.push([]);
    stages.at(-1)?.push({ name, text: rest.join(' ') });
  }
  return stages;
}

/** The texts of one kind of instruction in a stage. */
export function texts(stage: Stage, name: string): readonly string[] {
  return stage.filter((instruction) => instruction.name === name).map(({ text }) => text);
}

/** The one instruction of its kind in a stage. */
export function only(stage: Stage, name: string): string {
  const [text, ...more] = texts(stage, name);
  if (text === undefined || more.length > 0) throw new Error(`There is not exactly one ${name}.`);
  return text;
}

/** The variables that the stage's ENV sets. */
export function environment(stage: Stage): Readonly<Record<string, string>> {
  const pairs = texts(stage, 'ENV').flatMap((text) => text.trim().split(/\s+/));
  return Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s).slice(0, 2) as [string, string]));
}

/** Does what the stage does, in `folder` instead of its WORKDIR; `install` stands in for its `npm ci`. */
export async function follow(
  stage: Stage,
  folder: string,
  install: (folder: string) => Promise<void>,
): Promise<void> {
  for (const { name, text } of stage) {
    if (name === 'COPY') await copy(text, folder);
    else if (name === 'RUN' && text.startsWith('npm ci ')) await install(folder);
    else if (name === 'RUN') execFileSync('sh', ['-c', text], { cwd: folder });
  }
}

/** Does what a COPY does, into `target`. Fails where a source is missing, or left out of the build context. */
async function copy(text: string, target: string): Promise<void> {
  const words = text.split(' ');
  const to = words.pop() ?? '';
  for (const source of words) {
    const from = path.join(root, source);
    if (!existsSync(from) || !isInContext(from)) throw new Error(`COPY ${source}: not in the build context.`);
    const whole = statSync(from).isDirectory();
    const place = whole ? path.join(target, to) : path.join(target, to, path.basename(source));
    await cp(from, place, { recursive: true, filter: isInContext });
  }
}

/** The rule of .dockerignore: the last pattern that fits a path, or a folder above it, decides. */
function isInContext(file: string): boolean {
  const parts = path.relative(root, file).split(path.sep);
  const places = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  const patterns = readFileSync(path.join(root, '.dockerignore'), 'utf8').split('\n');
  let inside = true;
  for (const pattern of patterns.filter((line) => line && !line.startsWith('#'))) {
    const wanted = pattern.startsWith('!');
    if (places.some((place) => path.matchesGlob(place, pattern.replace('!', '')))) inside = wanted;
  }
  return inside;
}
