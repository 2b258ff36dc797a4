// The exchange of files, cut off at every step by a kill and by a pulled plug: what the next start finds is wholly the old
// state or wholly the new one.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../src/app/config.ts';
import { Files } from '../../src/app/restore/files.ts';
import { finishRestore } from '../../src/app/restore/finish.ts';
import { type Journal, writeJournal } from '../../src/app/restore/journal.ts';
import { keyFolders, stageKeyFiles } from '../../src/app/restore/key-files.ts';
import { ForgetfulDisk, type Loss, PowerCut } from './forgetful-disk.ts';

const PATIENCE = 60_000;

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
  'keys/k2.pem.restoring',
];
const NAMES = [...new Set([...Object.keys(OLD), ...Object.keys(NEW)])];

class Scene {
  readonly folder: string;
  readonly config: Config;
  readonly trash: string;

  constructor(folder: string, config: Config) {
    this.folder = folder;
    this.config = config;
    this.trash = path.join(folder, 'trash');
  }

  static async set(): Promise<Scene> {
    const folder = await mkdtemp(path.join(tmpdir(), 'authserver-swap-'));
    const env = { AUTHSERVER_STATE_DIR: folder };
    const { config } = await loadConfig({ file: undefined, terminal: false, env });
    const scene = new Scene(folder, config);
    for (const sub of ['keys', 'trash', 'authserver.db.restoring']) await mkdir(path.join(folder, sub));
    for (const [name, text] of Object.entries(OLD)) await writeFile(path.join(folder, name), text!);
    await writeFile(path.join(folder, 'authserver.db.restoring', 'authserver.db'), 'new rows');
    return scene;
  }

  async content(): Promise<Content> {
    const read = (name: string) => readFile(path.join(this.folder, name), 'utf8').catch(() => undefined);
    return Object.fromEntries(await Promise.all(NAMES.map(async (name) => [name, await read(name)])));
  }

  async leftovers(): Promise<string[]> {
    const found: string[] = [];
    for (const name of NEVER) {
      const isThere = await readFile(path.join(this.folder, name)).then(
        () => true,
        () => false,
      );
      if (isThere) found.push(name);
    }
    return found;
  }

  dispose(): Promise<void> {
    return rm(this.folder, { recursive: true });
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

const expected = (content: Content) => ({
  ...Object.fromEntries(NAMES.map((name) => [name, undefined])),
  ...content,
});

describe('the exchange of a restore', () => {
  test.for<Loss>(['nothing', 'data', 'names'])(
    'cut off at any step leaves the old state or the new one, never a mix (lost with the power: %s)',
    { timeout: PATIENCE },
    async (loss) => {
      let ends = { old: 0, new: 0 };
      for (let fatal = 0; ; fatal++) {
        const scene = await Scene.set();
        const forgetful = new ForgetfulDisk(fatal, scene.trash);
        const outcome = await swap(scene, new Files(forgetful.disk)).catch((error: unknown) => error);
        await forgetful.cut(loss);
        // Whoever opens the state directory next, twice.
        await finishRestore(scene.config);
        const found = await scene.content();
        const isNew = found['authserver.db'] === 'new rows';
        expect(found, `step ${fatal}`).toEqual(expected(isNew ? NEW : OLD));
        // Until the journal is written, the staging is nobody's yet.
        if (isNew || fatal > 8) expect(await scene.leftovers(), `step ${fatal}`).toEqual([]);
        await finishRestore(scene.config);
        expect(await scene.content()).toEqual(found);
        await scene.dispose();
        ends = isNew ? { ...ends, new: ends.new + 1 } : { ...ends, old: ends.old + 1 };
        if (outcome === undefined) break;
        expect(outcome).toBeInstanceOf(PowerCut);
      }
      expect(ends.old).toBeGreaterThan(10);
      expect(ends.new).toBeGreaterThan(20);
    },
  );

  test('is caught by these tests where it does not flush what it writes', { timeout: PATIENCE }, async () => {
    const found = new Set<string>();
    for (let fatal = 5; fatal < 60; fatal++) {
      const scene = await Scene.set();
      const forgetful = new ForgetfulDisk(fatal, scene.trash, { syncs: false });
      await swap(scene, new Files(forgetful.disk)).catch(() => undefined);
      await forgetful.cut('data');
      const settled = await finishRestore(scene.config).then(
        () => 'settled',
        () => 'stuck',
      );
      const content = JSON.stringify(await scene.content());
      const isWhole = [OLD, NEW].some((state) => content === JSON.stringify(expected(state)));
      found.add(settled === 'settled' && isWhole ? 'whole' : 'broken');
      await scene.dispose();
    }
    expect(found).toContain('broken');
  });

  test('killed while it is brought to its end goes on at the next start, as often as that happens', async () => {
    const scene = await Scene.set();
    const first = new ForgetfulDisk(35, scene.trash);
    await expect(swap(scene, new Files(first.disk))).rejects.toBeInstanceOf(PowerCut);
    let tries = 0;
    for (; tries < 100; tries++) {
      const again = new ForgetfulDisk(3, scene.trash);
      const outcome = await finishRestore(scene.config, { files: new Files(again.disk) }).catch(
        (e: unknown) => e,
      );
      if (outcome === undefined) break;
    }
    expect(tries).toBeGreaterThan(0);
    await finishRestore(scene.config);
    expect(await scene.content()).toEqual(expected(NEW));
    await scene.dispose();
  });
});
