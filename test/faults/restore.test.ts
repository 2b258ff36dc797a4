// A restore that is killed, and the undoing of one, at each of its steps on the disk and at any moment between them: what the
// next start finds is wholly the old state or wholly the new one, and nobody applies it twice.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { settleRestore } from '../../src/app/restore/finish.ts';
import { Installation } from '../ops/restore-kit.ts';
import { query } from '../setup/cluster.ts';
import { describeEngines, type Engine } from '../setup/engines.ts';
import { ownEnvironment } from '../setup/server.ts';
import { times } from './scale.ts';

/** Restores that are killed, in all. On PostgreSQL the database itself decides, in one transaction. */
const KILLS = { sqlite: times(6, 1000), postgres: times(3, 200) } as const;
const KILLED_UNDOS = { sqlite: times(3, 300), postgres: times(2, 100) } as const;
/** So many installations are killed at once. */
const TOGETHER = 2;
const DEADLINE = times(600_000, 3_600_000);

/** What there is to see of an installation. */
interface State {
  readonly users: Readonly<Record<string, string>>;
  readonly key: string;
}

interface Verb {
  readonly kills: Readonly<Record<Engine['name'], number>>;
  /** How it is asked for. */
  argument(backup: string): string;
  /** Something to be done: how things are, and how they are to be. */
  prepare(here: Installation, backup: string, run: number): Promise<{ before: State; becomes: State }>;
}

const RESTORED: State = { users: { ada: 'active' }, key: 'then' };

const RESTORE: Verb = {
  kills: KILLS,
  argument: (backup) => backup,
  async prepare(here, _backup, run) {
    await goOn(here, run);
    return { before: await stateOf(here), becomes: RESTORED };
  },
};

const UNDO: Verb = {
  kills: KILLED_UNDOS,
  argument: () => 'undo',
  async prepare(here, backup, run) {
    await goOn(here, run);
    const becomes = await stateOf(here);
    await here.restore({ backup });
    return { before: RESTORED, becomes };
  },
};

/** Time goes on after the backup. */
async function goOn(here: Installation, run: number): Promise<void> {
  if (!Object.hasOwn(await here.users(), `since_${run}`)) await here.addUser(`since_${run}`);
  await here.writeKey('k1.pem', `now ${run}`);
}

async function stateOf(here: Installation): Promise<State> {
  return { users: await here.users(), key: await readFile(here.keyFile('k1.pem'), 'utf8') };
}

interface Tally {
  old: number;
  new: number;
}

/** Has it done in processes that die, `share` of them in all. */
async function killEach(verb: Verb, engine: Engine, share: number, first: number): Promise<Tally> {
  await using here = await Installation.make(engine);
  await here.addUser('ada');
  await here.writeKey('k1.pem', 'then');
  const backup = await here.backup();
  const tally: Tally = { old: 0, new: 0 };
  const asked = verb.argument(backup);
  // One that nobody kills tells how many steps there are.
  await verb.prepare(here, backup, -1);
  const steps = await runAndKill(here, asked, { fatal: 0, delay: 0 });
  for (let run = 0; run < share; run++) {
    const { before, becomes } = await verb.prepare(here, backup, run);
    // At each step in turn, and every third time at some moment or other.
    const fatal =
      run % 3 === 2
        ? Number.POSITIVE_INFINITY
        : 1 + Math.floor(((first + run) / verb.kills[engine.name]) * steps);
    await runAndKill(here, asked, { fatal, delay: (run * 37) % 400 });
    await settleRestore(here.config);
    const after = await stateOf(here);
    const isNew = after.key === becomes.key;
    const place = `run ${run}, killed before step ${fatal}`;
    expect(after, place).toEqual(isNew ? becomes : before);
    // A journal that was never begun is written over by the next one.
    const left = (await here.files()).filter((name) => /restoring|restore\.json$|[^n]\.tmp$/.test(name));
    expect([...left, ...(await schemasOf(here))], place).toEqual([]);
    const state = await here.digests();
    await settleRestore(here.config);
    expect(await here.digests(), place).toEqual(state);
    tally[isNew ? 'new' : 'old'] += 1;
  }
  return tally;
}

/** Killed before that step; at some moment for infinity; never for 0. How many steps it went through, if it came to its end. */
async function runAndKill(
  here: Installation,
  backup: string,
  { fatal, delay }: { readonly fatal: number; readonly delay: number },
): Promise<number> {
  const file = path.join(import.meta.dirname, 'restore-child.ts');
  const child = spawn(process.execPath, [file, backup, String(fatal)], {
    env: { ...ownEnvironment(), ...here.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let said = '';
  child.stdout.setEncoding('utf8');
  for await (const text of child.stdout) {
    said += text;
    if (said.includes('here')) child.kill('SIGKILL');
    else if (said.includes('ready') && fatal === Number.POSITIVE_INFINITY) {
      await sleep(delay);
      child.kill('SIGKILL');
    }
  }
  await closed;
  return Number(/done (\d+)/.exec(said)?.[1] ?? 0);
}

/** Schemas that a restore has staged in. */
async function schemasOf({ storage }: Installation): Promise<unknown[]> {
  if (storage.driver === 'sqlite') return [];
  return query(storage.postgres.dsn, "select nspname from pg_namespace where nspname like '%restoring%'");
}

async function expectWhole(verb: Verb, engine: Engine): Promise<void> {
  const kills = verb.kills[engine.name];
  const share = Math.ceil(kills / TOGETHER);
  const runs = Array.from({ length: TOGETHER }, (_, index) => killEach(verb, engine, share, index * share));
  const tallies = await Promise.all(runs);
  const sum = tallies.reduce((all, one) => ({ old: all.old + one.old, new: all.new + one.new }));
  // Otherwise nothing was cut off, or nothing was ever brought to its end.
  expect(sum.old).toBeGreaterThan(kills / 10);
  expect(sum.new).toBeGreaterThan(kills / 10);
}

describeEngines('a restore that is killed', (engine) => {
  it(
    `${KILLS[engine.name]} times, at every step, is wholly done or not at all, and is done once`,
    () => expectWhole(RESTORE, engine),
    DEADLINE,
  );

  it(
    `while it is undone, ${KILLED_UNDOS[engine.name]} times, is wholly undone or not at all`,
    () => expectWhole(UNDO, engine),
    DEADLINE,
  );
});
