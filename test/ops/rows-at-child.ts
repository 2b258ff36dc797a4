// A process that holds a cluster of a moment, tells where, and does nothing more: it is there to be killed.
import { loadConfig } from '../../src/app/config.ts';
import { rowsAt } from '../../src/app/pgbackrest/rows-at.ts';

const { config } = await loadConfig({ file: undefined, env: process.env, terminal: false });
const { storage } = await rowsAt(config, Number(process.argv[2]));
process.stdout.write(`${JSON.stringify(storage)}\n`);
setInterval(() => {}, 60_000);
