// A process that makes backups and prunes them until it is killed: `node backup-child.ts`, its settings in the environment.

import { writeSync } from 'node:fs';
import { makeBackupDesk } from '../../src/app/backup/desk.ts';
import { openRooms } from '../../src/app/compose.ts';
import { loadConfig } from '../../src/app/config.ts';
import { openDatabase } from '../../src/app/database.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { backUpAndPrune } from './backup-runs.ts';

const { config } = await loadConfig({ file: undefined, terminal: false, env: process.env });
const rooms = await openRooms(config, await openDatabase(config, silentLog), silentLog);
const desk = makeBackupDesk(rooms);
for (;;) {
  writeSync(1, 'making\n');
  await backUpAndPrune(desk);
}
