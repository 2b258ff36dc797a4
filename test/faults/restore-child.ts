// A restore that stops before a step on the disk and waits to be killed: `node restore-child.ts BACKUP STEP`, `undo` for the
// undoing of the last one, its settings in the environment. What SQLite and its threads write goes on until then.

import { writeSync } from 'node:fs';
import * as nodeDisk from 'node:fs/promises';
import { loadConfig } from '../../src/app/config.ts';
import { type Disk, Files } from '../../src/app/restore/files.ts';
import { prepareRestore } from '../../src/app/restore/restore.ts';
import { prepareUndo } from '../../src/app/restore/undo.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { ASKED } from '../ops/restore-kit.ts';

const [backup = '', fatal = ''] = process.argv.slice(2);
let steps = 0;

/** Nothing runs any more: no timer, no farewell to the database. */
function step(): void {
  steps += 1;
  if (steps !== Number(fatal)) return;
  writeSync(1, 'here\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function counted(original: unknown) {
  return async (...given: unknown[]) => {
    step();
    return (original as (...given: unknown[]) => Promise<unknown>)(...given);
  };
}

const disk = {
  ...nodeDisk,
  ...{ open: counted(nodeDisk.open), mkdir: counted(nodeDisk.mkdir) },
  ...{ rename: counted(nodeDisk.rename), rm: counted(nodeDisk.rm) },
} as unknown as Disk;

const { config } = await loadConfig({ file: undefined, terminal: false, env: process.env });
const parts = { log: silentLog, files: new Files(disk) };
await using prepared = await (backup === 'undo'
  ? prepareUndo(config, ASKED, parts)
  : prepareRestore(config, { ...ASKED, backup }, parts));
writeSync(1, 'ready\n');
await prepared.run({ progress: () => undefined, signal: new AbortController().signal });
writeSync(1, `done ${steps}\n`);
