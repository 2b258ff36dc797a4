// The exchange of files of a restore, cut off at every step by a kill and by a pulled plug: what the next start finds is wholly
// the old state or wholly the new one, however often it is started.

import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Config, loadConfig } from '../../../src/app/config.ts';
import { Files } from '../../../src/app/restore/files.ts';
import { finishRestore } from '../../../src/app/restore/finish.ts';
import { type Journal, writeJournal } from '../../../src/app/restore/journal.ts';
import { keyFolders, stageKeyFiles } from '../../../src/app/restore/key-files.ts';
import { asFailure } from '../../../src/kernel/errors.ts';
import { type Fate, ForgetfulDisk, type Loss, PowerCut } from '../forgetful-disk.ts';
import { fatePasses, lossPasses } from '../scale.ts';
import { makeFolders } from './scene.ts';

/** Files by their names in the state directory. */
type Content = Readonly<Record<string, string | undefined>>;

const OLD: Content = {
  'authserver.db': 'old rows',
  'authserver.db-wal': 'old log',
  'keys/k1.pem': 'old key',
  deployment: 'dep_old\n',
};
const NEW: Content = {
  'authserver.db': 'new rows',
  'authserver.db-wal': undefined,
  'authserver.db.before-restore-1': 'old rows',
  'authserver.db.before-restore-1-wal': 'old log',
  'keys/k1.pem': 'new key',
  'keys/k1.pem.before-restore-1': 'old key',
  'keys/k2.pem': 'another key',
  deployment: 'dep_new\n',
  'receipts/restore-rst_1.txt': 'what was lost',
};
/** What must be gone afterwards, however it ended. */
const NEVER = [
  'restore.json',
  'authserver.db.restoring/authserver.db',
  'keys/k1.pem.restoring',
  'keys/k1.pem.restoring.tmp',
  'keys/k2.pem.restoring',
  'keys/k2.pem.restoring.tmp',
];
const NAMES = [...new Set([...Object.keys(OLD), ...Object.keys(NEW)])];

export async function checkSwap(): Promise<void> {
  for (const lossAt of lossPasses()) await everyStep(lossAt, () => 'dies');
}

/** The disk fails once, or is full from then on. */
export async function checkSwapOnBadDisk(): Promise<void> {
  for (const fateAt of fatePasses()) await everyStep(() => 'nothing', fateAt);
}

/** Each start goes a few steps further, and dies. */
export async function checkSwapKilledAgain(): Promise<void> {
  await using scene = await Scene.set();
  const total = await stepsOf();
  const first = scene.disk(Math.floor(total / 2));
  await assert.rejects(swap(scene, new Files(first.disk)), PowerCut);
  let tries = 0;
  for (; tries < 100; tries++) {
    const files = new Files(scene.disk(2).disk);
    if ((await finishRestore(scene.config, { files }).catch((error: unknown) => error)) === undefined) break;
  }
  assert.ok(tries > 0, 'it was never killed again');
  await finishRestore(scene.config);
  assert.deepEqual(await scene.content(), expected(NEW));
}

async function stepsOf(): Promise<number> {
  await using scene = await Scene.set();
  const disk = scene.disk(Number.POSITIVE_INFINITY);
  await swap(scene, new Files(disk.disk));
  return disk.steps;
}

async function everyStep(lossAt: (step: number) => Loss, fateAt: (step: number) => Fate): Promise<void> {
  const ends = { old: 0, new: 0 };
  for (let fatal = 0; ; fatal++) {
    const [loss, fate] = [lossAt(fatal), fateAt(fatal)];
    await using scene = await Scene.set();
    const disk = scene.disk(fatal, fate);
    const outcome: unknown = await swap(scene, new Files(disk.disk)).catch((error: unknown) => error);
    disk.cut(loss);
    const place = `after step ${fatal} (${fate}), ${loss} lost`;
    if (fate !== 'dies' && outcome !== undefined)
      assert.match(asFailure(outcome).code, /^(unavailable|configuration)$/, `${place}: ${outcome}`);
    const hasBegun = (await scene.leftovers()).includes('restore.json');
    // Whoever opens the state directory next, twice.
    await finishRestore(scene.config);
    const found = await scene.content();
    const isNew = found['authserver.db'] === 'new rows';
    assert.deepEqual(found, expected(isNew ? NEW : OLD), place);
    // Until the journal is there, the staging is nobody's yet.
    if (isNew || hasBegun) assert.deepEqual(await scene.leftovers(), [], place);
    await finishRestore(scene.config);
    assert.deepEqual(await scene.content(), found, `another start changes nothing ${place}`);
    ends[isNew ? 'new' : 'old'] += 1;
    if (!disk.isHit) break;
  }
  assert.ok(ends.old > 5 && ends.new > 10, `nothing was cut off: ${JSON.stringify(ends)}`);
}

class Scene implements AsyncDisposable {
  readonly folder: string;
  readonly config: Config;
  readonly #trash: string;
  readonly #dispose: () => Promise<void>;

  private constructor(config: Config, folder: string, trash: string, dispose: () => Promise<void>) {
    this.config = config;
    this.folder = folder;
    this.#trash = trash;
    this.#dispose = dispose;
  }

  static async set(): Promise<Scene> {
    const { root, trash, [Symbol.asyncDispose]: dispose } = await makeFolders();
    const env = { AUTHSERVER_STATE_DIR: root };
    const { config } = await loadConfig({ file: undefined, terminal: false, env });
    for (const sub of ['keys', 'authserver.db.restoring']) await mkdir(path.join(root, sub));
    for (const [name, text] of Object.entries(OLD)) await writeFile(path.join(root, name), text ?? '');
    await writeFile(path.join(root, 'authserver.db.restoring', 'authserver.db'), 'new rows');
    return new Scene(config, root, trash, dispose);
  }

  disk(fatal: number, fate: Fate = 'dies'): ForgetfulDisk {
    return new ForgetfulDisk(fatal, this.#trash, { fate });
  }

  async content(): Promise<Content> {
    const read = (name: string) => readFile(path.join(this.folder, name), 'utf8').catch(() => undefined);
    return Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await read(name)])));
  }

  async leftovers(): Promise<string[]> {
    const found: string[] = [];
    for (const name of NEVER) {
      const text = await readFile(path.join(this.folder, name)).catch(() => undefined);
      if (text !== undefined) found.push(name);
    }
    return found;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dispose();
  }
}

/** From the first write of the journal to its end, as a restore does it. */
async function swap({ config, folder }: Scene, files: Files): Promise<void> {
  const database = path.join(folder, 'authserver.db');
  const journal: Journal = {
    format: 1,
    id: 'rst_1',
    phase: 'staging',
    place: {
      engine: 'sqlite',
      database,
      staged: `${database}.restoring`,
      kept: `${database}.before-restore-1`,
    },
    folders: [...keyFolders(config)],
    keys: [],
    files: [{ path: path.join(folder, 'receipts', 'restore-rst_1.txt'), text: 'what was lost' }],
    deployment: 'dep_new',
    last: null,
  };
  await writeJournal(files, folder, journal);
  const keys = await stageKeyFiles(files, config, [
    { name: 'k1.pem', text: 'new key' },
    { name: 'k2.pem', text: 'another key' },
  ]);
  await writeJournal(files, folder, { ...journal, phase: 'swapping', keys: [...keys] });
  await finishRestore(config, { files });
}

function expected(content: Content): Content {
  return { ...Object.fromEntries(NAMES.map((name) => [name, undefined])), ...content };
}
