// Owns what befalls a host of a runbook, as a program of its own: `disaster machine|database|keys|users`.

import { execFileSync } from 'node:child_process';
import { open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { query } from '../setup/cluster.ts';

const { AUTHSERVER_STATE_DIR: stateDir = '', AUTHSERVER_STORAGE_POSTGRES_DSN: dsn } = process.env;
const isPostgres = process.env['AUTHSERVER_STORAGE_DRIVER'] === 'postgres';

const disasters: Readonly<Record<string, () => Promise<unknown>>> = {
  async machine() {
    host('systemctl', 'stop', 'authserver');
    for (const name of await readdir(stateDir)) await rm(path.join(stateDir, name), { recursive: true });
    if (isPostgres) await query(dsn ?? '', 'drop schema public cascade; create schema public');
  },
  async database() {
    if (isPostgres) return query(dsn ?? '', 'drop table users cascade');
    host('systemctl', 'stop', 'authserver');
    await using file = await open(path.join(stateDir, 'authserver.db'), 'r+');
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size / 2, 0xa5), 0, size / 2, size / 4);
  },
  async keys() {
    host('systemctl', 'stop', 'authserver');
    for (const name of await readdir(path.join(stateDir, 'keys')))
      await rm(path.join(stateDir, 'keys', name));
  },
  async users() {
    host('authserver', 'admin', 'user', 'delete', 'ada', '--yes');
  },
};

function host(command: string, ...words: readonly string[]): void {
  execFileSync(command, words, { stdio: ['ignore', 'ignore', 'inherit'] });
}

const [, , name = ''] = process.argv;
const strike = disasters[name];
if (!strike) throw new Error(`no such disaster: ${name}`);
await strike();
