// Drills: each passes on a sound installation, which it only reads; and each has a twin in which the product's recovery has
// been sabotaged, so that it must not pass.

import { readdir, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPlaces } from '../../src/app/backup/places.ts';
import { readRecoverySheet } from '../../src/app/backup/recovery-sheet.ts';
import { openRooms } from '../../src/app/compose.ts';
import { storageChoice } from '../../src/app/database.ts';
import type { Copy } from '../../src/app/drill/copy.ts';
import { rehearse } from '../../src/app/drill/drill.ts';
import type { PrepareParts } from '../../src/app/drill/prepare.ts';
import { openStore } from '../../src/app/open-store.ts';
import { readSnapshot } from '../../src/app/snapshots.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import { prune } from '../../src/ops/backup/prune.ts';
import { DRILL_NAMES, type DrillName } from '../../src/ops/drill/drill.ts';
import type { Recovery } from '../../src/ops/drill/ground.ts';
import type { DrillReport } from '../../src/ops/drill/report.ts';
import { digestTables } from '../../src/store/snapshot.ts';
import { describeEngines, engines } from '../setup/engines.ts';
import { isLong } from '../setup/long.ts';
import { type Deployment, openDeployment } from './backup-kit.ts';

const PATIENCE = { timeout: 180_000 };
/** Tests share the machine: a start may take longer there to name a missing key. */
const NAMING = 30_000;

/** What these go through differs with the engine; of the others one engine is enough where there is little time. */
const OF_ENGINES: ReadonlySet<DrillName> = new Set(['host-loss', 'db-corruption', 'bad-migration']);
/** Their twins on the second engine take longest, and notice by the same steps. */
const IN_LONG_RUNS: ReadonlySet<DrillName> = new Set(['host-loss', 'bad-migration']);

/** What is sabotaged, the drill that has to notice, the step that says so. */
type Twin = readonly [what: string, drill: DrillName, step: string, sabotage: Sabotage];
type Sabotage = NonNullable<PrepareParts['sabotage']>;

describeEngines('drills', (engine) => {
  let live: Deployment;

  beforeAll(async () => {
    live = await openDeployment(engine, { RECOVERY_LOG: 'true', RECOVERY_INTERVAL: '100ms' });
    for (const username of ['ada', 'grace', 'linus']) {
      const user = await live.rooms.users.create({ username, password: null });
      await live.rooms.audit.record({ action: 'user.created', actor: 'system', user_id: user.id });
    }
  }, 60_000);

  afterAll(() => live?.[Symbol.asyncDispose]());

  const drill = (name: DrillName, sabotage?: Sabotage, signal = new AbortController().signal) =>
    rehearse(
      live.rooms.config,
      { name, key: undefined },
      {
        clock: systemClock,
        random: systemRandom,
        log: silentLog,
        naming: NAMING,
        ...(sabotage && { sabotage }),
      },
      { progress: () => undefined, signal },
    );

  /** The content of the live database, and what lies around that is of drills. */
  const traces = async () => {
    await using snapshot = await readSnapshot(storageChoice(live.rooms.config), { clock: systemClock });
    const scratch = await readdir(path.join(live.stateDir, 'scratch')).catch(() => []);
    const keys = await readdir(path.join(live.stateDir, 'keys'));
    return { totals: await digestTables(snapshot), scratch, keys, schemas: await schemas(live) };
  };

  const names = DRILL_NAMES.filter((name) => engine.name === 'sqlite' || isLong || OF_ENGINES.has(name));
  test.each(names)('%s passes on a sound installation, which stays as it is', PATIENCE, async (name) => {
    const before = await traces();
    const report = await drill(name);
    expect(failedSteps(report)).toEqual([]);
    expect(report).toMatchObject({ drill: name, passed: true, engine: engine.name });
    expect(report.steps.map(({ mark }) => mark).filter((mark) => mark !== null)).toEqual(['lost', 'served']);
    const steps = report.steps.reduce((sum, { ms }) => sum + ms, 0);
    expect(report.rto_ms).toBeGreaterThan(0);
    expect(report.rto_ms).toBeLessThanOrEqual(steps);
    expect(report.rpo_ms).toBeLessThan(60_000);
    if (engine.name === 'sqlite' && name !== 'host-loss') expect(report.rpo_ms).toBe(0);
    expect(await traces()).toEqual(before);
  });

  // The first of each drill is tried on both engines; what the others are about does not depend on the engine.
  const twins: readonly Twin[] = [
    [
      'a restore that skips the newest rows',
      'host-loss',
      'what was acknowledged is there',
      afterRestore(async (copy) => {
        const store = await openStore(copy.storage, silentLog);
        const users = await store.users.list({ after: '', limit: 1000 });
        const newest = users.filter(({ username }) => username.startsWith('drill-')).at(-1);
        await store.users.remove({ id: String(newest?.id), now: Date.now() });
        await store.close();
      }),
    ],
    [
      'a restore that keeps sessions',
      'host-loss',
      'nobody is signed in any more',
      afterRestore(letEverybodyIn),
    ],
    [
      'a recovery of keys that makes a new one',
      'key-loss',
      'the keys are those that were lost',
      withRecovery((_, copy) => ({
        async recoverKeys() {
          const { config, clock, random } = copy;
          const store = await openStore(copy.storage, silentLog);
          const rooms = await openRooms(config, store, silentLog, { clock, random, mustSign: false });
          const { successor } = await rooms.keyring.management.recover();
          await rooms.close();
          return [successor.kid];
        },
      })),
    ],
    [
      'a start that does not mind a missing key',
      'key-loss',
      'a start names the missing key, and refuses',
      (ground) => ({ ...ground, refusal: async () => undefined }),
    ],
    [
      'damage that nobody notices',
      'db-corruption',
      'the damage is noticed',
      (ground) => ({ ...ground, refusal: async () => undefined, faults: async () => [] }),
    ],
    [
      'a restore that changes a column',
      'db-corruption',
      'every table is as it was',
      afterRestore((copy) => runIn(copy, 'update users set updated_at = updated_at + 1')),
    ],
    [
      'an undo that leaves what the migration wrote',
      'bad-migration',
      'every table is as it was',
      afterRestore((copy) => runIn(copy, "update users set username = 'migrated-' || id")),
    ],
    [
      'a restore that forgets who was disabled',
      'mass-delete',
      'what was taken away before stays so',
      afterRestore((copy) => runIn(copy, "update users set status = 'active'")),
    ],
    [
      'a restore that keeps sessions of removed users',
      'mass-delete',
      'nobody is signed in any more',
      afterRestore(letEverybodyIn),
    ],
    [
      'a restore that removes them again',
      'mass-delete',
      'everybody is back',
      withRecovery((honest) => ({ restore: (wish) => honest.restore({ ...wish, removals: 'repeat' }) })),
    ],
    [
      'a removal of backups that minds no clock',
      'clock-jump',
      'the removal of old backups stops',
      withRecovery((_, copy) => ({ prune: () => pruneRecklessly(copy) })),
    ],
    [
      'a clock that takes keys along',
      'clock-jump',
      'no key is lost',
      (ground, copy) => {
        let hasJumped = false;
        return {
          ...ground,
          async serve(ahead) {
            const scene = await ground.serve(ahead);
            const [kid] = await ground.keyFiles();
            if (hasJumped) await unlink(path.join(copy.config.signing.key_path, `${kid}.pem`));
            hasJumped = ahead !== undefined;
            return scene;
          },
        };
      },
    ],
  ];

  // Of the second engine those whose recovery is another one there.
  const tried = twins.filter(
    (twin) =>
      engine === engines[0] ||
      (OF_ENGINES.has(twin[1]) && isFirst(twin, twins) && (isLong || !IN_LONG_RUNS.has(twin[1]))),
  );

  test.each(tried)('%s is found out by %s', PATIENCE, async (_, name, step, sabotage) => {
    const report = await drill(name, sabotage);
    expect(report.passed).toBe(false);
    expect(failedSteps(report)).toContain(step);
  });

  test('one that is stopped leaves nothing behind', PATIENCE, async () => {
    const before = await traces();
    const stop = new AbortController();
    const stopped = drill(
      'mass-delete',
      (ground) => ({
        ...ground,
        async serve(ahead) {
          const scene = await ground.serve(ahead);
          stop.abort();
          return scene;
        },
      }),
      stop.signal,
    );
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    expect(await traces()).toEqual(before);
  });
});

function isFirst(twin: Twin, twins: readonly Twin[]): boolean {
  return twins.find(([, drill]) => drill === twin[1]) === twin;
}

function failedSteps({ steps }: DrillReport): readonly string[] {
  return steps.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name);
}

function withRecovery(change: (honest: Recovery, copy: Copy) => Partial<Recovery>): Sabotage {
  return (ground, copy) => ({
    ...ground,
    recovery: { ...ground.recovery, ...change(ground.recovery, copy) },
  });
}

function afterRestore(harm: (copy: Copy) => Promise<unknown>): Sabotage {
  return withRecovery((honest, copy) => ({
    async restore(wish) {
      const restored = await honest.restore(wish);
      await harm(copy);
      return restored;
    },
  }));
}

async function letEverybodyIn(copy: Copy): Promise<void> {
  await runIn(copy, 'update sessions set ended_at = null');
  await runIn(copy, 'update token_families set revoked_at = null, revoked_reason = null');
}

async function runIn({ storage }: Copy, text: string): Promise<void> {
  if (storage.driver === 'sqlite') {
    const { DatabaseSync } = await import('node:sqlite');
    using db = new DatabaseSync(storage.sqlite.path);
    db.exec(text);
    return;
  }
  await asked(storage.postgres.dsn, text);
}

async function asked(dsn: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString: dsn });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function schemas({ rooms }: Deployment): Promise<readonly unknown[]> {
  const choice = storageChoice(rooms.config);
  if (choice.driver === 'sqlite') return [];
  return asked(choice.postgres.dsn, "select nspname from pg_namespace where nspname like 'authserver%'");
}

/** With every stop waved through. */
async function pruneRecklessly({ config, sheet, signal }: Copy) {
  const { signers, deploymentId = '' } = readRecoverySheet(await readFile(sheet, 'utf8'));
  const { targets } = await prune(
    {
      places: await openPlaces(config, systemClock),
      trust: signers,
      deploymentId,
      clock: systemClock,
      lastKept: async () => undefined,
      keepKept: async () => undefined,
      writeReceipt: async () => undefined,
      withdrawReceipt: async () => undefined,
    },
    { target: null, dry_run: false, accept: ['future_dated', 'clock_jumped', 'kept_set_shrinks'] },
    signal,
  );
  return { removed: targets.flatMap(({ removed }) => removed), stopped: null };
}
