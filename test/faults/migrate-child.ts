// A migration that stops before a statement and waits to be killed: `node migrate-child.ts STORAGE PATTERN`.

import { writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import type { FreshStorage } from '../setup/engines.ts';
import { migrate } from '../upgrade/database.ts';
import { longTimeline } from '../upgrade/steps.ts';

const [storage = '', pattern = ''] = process.argv.slice(2);
const point = new RegExp(pattern);

function stopBefore(text: unknown): void {
  if (typeof text !== 'string' || !point.test(text)) return;
  writeSync(1, 'here\n');
  // Nothing runs any more: no timer, no farewell to the database.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

const { query } = Client.prototype;
Client.prototype.query = function (this: Client, ...args: unknown[]) {
  stopBefore(args[0]);
  return (query as (...given: unknown[]) => unknown).apply(this, args);
} as typeof query;
const { prepare } = DatabaseSync.prototype;
DatabaseSync.prototype.prepare = function (this: DatabaseSync, text: string) {
  stopBefore(text);
  return prepare.call(this, text);
};

await migrate(JSON.parse(storage) as FreshStorage, { timeline: longTimeline, timing: { leaseTerm: 400 } });
