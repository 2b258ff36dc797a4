// Owns how tests read deploy/: its files, the YAML in them, the programs that check them, and the settings that they set.

import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type Config, loadConfig } from '../../src/app/config.ts';

export const root = path.dirname(path.dirname(import.meta.dirname));
export const deploy = path.join(root, 'deploy');

export function readDeploy(file: string): string {
  return readFileSync(path.join(deploy, file), 'utf8');
}

/** The documents of a YAML text; a duplicate key or any other fault of the text fails. */
export function readDocuments(text: string): readonly unknown[] {
  return parseAllDocuments(text, { merge: true }).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.contents === null ? [] : [document.toJS() as unknown];
  });
}

/** Whether a program is on PATH. */
export function has(command: string): boolean {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .some((folder) => existsSync(path.join(folder, command)));
}

/** For the title of a test: why it is skipped, or nothing where it runs. */
export function unless(command: string): string {
  return has(command) ? '' : ` (skipped: no ${command} on PATH)`;
}

/** The standard output of a program; what it says on standard error is in the error when it fails. */
export function run(command: string, args: readonly string[], env: Record<string, string> = {}): string {
  const options = { encoding: 'utf8', stdio: 'pipe', env: { PATH: process.env.PATH ?? '', ...env } } as const;
  return execFileSync(command, args, options);
}

/** The settings as the server reads them, of variables and of a file. Fails on every key that there is not. */
export async function settings(env: Readonly<Record<string, string>>, file?: string): Promise<Config> {
  return (await loadConfig({ file, env, terminal: false })).config;
}

/** What an operator would put into the Secrets, by their names. */
export const secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'authserver-secrets': {
    AUTHSERVER_ADMIN_API_KEY: '9f41c07bb1de4a6c8d20e7f35a',
    AUTHSERVER_STORAGE_POSTGRES_DSN: 'postgres://authserver:x@postgres:5432/authserver',
  },
  'authserver-master-key': { AUTHSERVER_DATA_ENCRYPTION_KEY: randomBytes(32).toString('hex') },
  'authserver-backup-signing': {
    'backup-signing.pem': generateKeyPairSync('ed25519')
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString(),
  },
};
