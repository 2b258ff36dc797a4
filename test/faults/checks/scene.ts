// Owns a folder of a check, and the question what of a target counts.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CatalogEntry, readHolding } from '../../../src/archive/catalog.ts';
import { checkArchive } from '../../../src/archive/reader.ts';
import type { Trust } from '../../../src/archive/signature.ts';
import type { Target } from '../../../src/archive/targets/target.ts';

export interface Folders {
  readonly root: string;
  /** For what a forgetful disk keeps aside: beside the root, not in it. */
  readonly trash: string;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function makeFolders(): Promise<Folders> {
  const folder = await mkdtemp(path.join(tmpdir(), 'authserver-fault-'));
  const [root, trash] = [path.join(folder, 'root'), path.join(folder, 'trash')];
  for (const each of [root, trash]) await mkdir(each);
  const dispose = () => rm(folder, { recursive: true, force: true });
  return { root, trash, [Symbol.asyncDispose]: dispose };
}

/** Everything that is listed; none of it may be anything but whole. @param at for whoever reads why it failed */
export async function wholeBackups(target: Target, trust: Trust, at = ''): Promise<CatalogEntry[]> {
  const entries: CatalogEntry[] = [];
  for await (const holding of target.list()) {
    const entry = readHolding(holding, trust);
    assert.deepEqual([entry.faults, entry.doubts], [[], []], `${holding.id} is listed and not whole ${at}`);
    const { file } = entry.record ?? assert.fail(`${holding.id} is listed without a record ${at}`);
    await checkArchive(target.open(holding), { trust, id: holding.id, file });
    entries.push(entry);
  }
  return entries;
}
