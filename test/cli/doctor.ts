// Owns how the tests run `authserver doctor` and read what it says.

import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import type { Finding } from '../../src/ops/doctor/finding.ts';
import { runCommand } from '../setup/command.ts';
import type { FreshStorage } from '../setup/engines.ts';
import { migrateFresh } from '../setup/fresh-store.ts';
import { type Outcome, TestServer } from '../setup/server.ts';

/** What each check said, by its id. */
export interface Report {
  readonly code: number | null;
  readonly checks: ReadonlyMap<string, Finding>;
}

export function read({ code, stdout, stderr }: Outcome): Report {
  expect(stdout, stderr).not.toBe('');
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
  expect(ok).toBe(findings.every(({ status }) => status !== 'fail'));
  expect(code, stderr).toBe(ok ? 0 : 1);
  return { code, checks: new Map(findings.map((finding) => [finding.check, finding])) };
}

/** Runs the command in this process, as the launcher would. */
export function runIn(env: Readonly<Record<string, string>>, words: readonly string[]): Promise<Outcome> {
  return runCommand(['doctor', '--json', ...words], { env });
}

export const doctor = async (server: TestServer, only?: string, env: Readonly<Record<string, string>> = {}) =>
  read(await runIn({ ...server.env, ...env }, only === undefined ? [] : ['--only', only]));

export const withStatus = ({ checks }: Report, status: Finding['status']) =>
  [...checks.values()].filter((finding) => finding.status === status).map(({ check }) => check);

/** A migrated database and settings for it, no server. */
export async function prepare(storage: FreshStorage, env: Readonly<Record<string, string>> = {}) {
  await migrateFresh(storage);
  return TestServer.prepare({ storage, env });
}

/** A server that has served and is stopped. */
export async function served(storage: FreshStorage): Promise<TestServer> {
  const server = await TestServer.prepare({ storage });
  await server.start();
  await server.stop();
  return server;
}

export const keyFileOf = async (server: TestServer) => {
  const folder = path.join(server.stateDir, 'keys');
  const name = (await readdir(folder)).sort().findLast((each) => each.endsWith('.pem')) ?? '';
  return path.join(folder, name);
};
