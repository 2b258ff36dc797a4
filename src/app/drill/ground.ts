/** The copy as the drills see it: served, looked at, broken and brought back by the product's own means. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { asFailure } from '../../kernel/errors.ts';
import type { Ground, Recovery, Refusal, Restored, RestoreWish } from '../../ops/drill/ground.ts';
import { Findings } from '../../ops/verify/proof.ts';
import { compareSchema } from '../../ops/verify/tables.ts';
import { timeline } from '../../store/migrations/timeline.ts';
import { digestTables } from '../../store/snapshot.ts';
import { putBackKeys } from '../backup/put-back-keys.ts';
import { isLogged } from '../database.ts';
import { withSchema } from '../open-store.ts';
import { prepareRestore } from '../restore/restore.ts';
import { forgetRestores } from '../restore/undo.ts';
import { readSnapshot } from '../snapshots.ts';
import { startTrial } from '../trial/server.ts';
import type { Copy } from './copy.ts';
import { disastersOf } from './disasters.ts';
import { openCopyStore, type ServedCopy, serveCopy } from './scene.ts';

/** What a restore has to change, or a server writes by itself: the rest has to be as it was. */
const RESTLESS: ReadonlySet<string> = new Set([
  'deployment',
  'settings',
  'leases',
  'audit_events',
  'revocations',
  'sessions',
  'token_families',
  'auth_codes',
  'authorization_requests',
  'pushed_requests',
  'device_codes',
  'verification_tokens',
  'connect_pending_states',
  'dpop_nonces',
  'initial_access_tokens',
]);

/** @param dispose takes the copy away */
export function groundOf(copy: Copy, dispose: () => Promise<void>): Ground {
  const { config, clock, notes, keysAreFiles } = copy;
  let scene: ServedCopy | undefined;
  return {
    clock,
    notes: [...notes, ...logNotes(copy)],
    keysAreFiles,
    isLogged: isLogged(config),
    disasters: disastersOf(copy),
    recovery: recoveryOf(copy),
    async serve(ahead = 0) {
      scene = await serveCopy(copy, ahead);
      return scene;
    },
    refusal: () => refusalOf(copy),
    faults: () => faultsOf(copy),
    digests: () => digestsOf(copy),
    keyFiles: async () => keyFilesOf(copy),
    async [Symbol.asyncDispose]() {
      // A server that cannot be ended in good order is on a copy that goes now.
      await scene?.[Symbol.asyncDispose]().catch(() => undefined);
      await forgetKept(copy);
      await dispose();
    },
  };
}

function logNotes({ config }: Copy): readonly string[] {
  if (isLogged(config)) return [];
  if (config.storage.driver === 'sqlite')
    return ['The recovery log is off: what came after the backup is lost.'];
  return [
    'Only the backup was restored. What the write-ahead log of PostgreSQL brings back besides is not rehearsed here: `authserver recovery status` tells how it stands.',
  ];
}

/** The same functions that the commands call. */
function recoveryOf(copy: Copy): Recovery {
  return {
    restore: (wish) => restoreCopy(copy, wish),
    async recoverKeys(backup) {
      const store = await openCopyStore(copy);
      const { config, sheet, signal } = copy;
      return putBackKeys(config, store, { backup, recoveryKeyFile: sheet }, { ...copy, signal });
    },
    prune: (scene) => (scene as ServedCopy).prune(),
  };
}

async function restoreCopy(copy: Copy, { backup, to, removals }: RestoreWish): Promise<Restored> {
  const { config, sheet, clock, random, log, signal } = copy;
  const request = {
    ...{ backup, to, removals, target: undefined, into: undefined, acceptDeployment: undefined },
    ...{ recoveryKeyFile: sheet, passphraseFile: undefined, trust: [] },
    // Whether a backup is believed without its proof is not what is rehearsed.
    ...({ sessions: 'end', unverified: true } as const),
  };
  await using prepared = await prepareRestore(config, request, { clock, random, log });
  const { restored_to, aftercare, notes } = await prepared.run({ progress: () => undefined, signal });
  return { restoredTo: restored_to, ended: aftercare.ended_sessions, notes: [...notes, ...aftercare.notes] };
}

async function refusalOf(copy: Copy): Promise<Refusal | undefined> {
  const { config, folder, clock, random, log, signal } = copy;
  let began = performance.now();
  try {
    const store = await openCopyStore(copy);
    began = performance.now();
    const server = await startTrial(config, store, { folder, canSign: true, clock, random, log, signal });
    await server[Symbol.asyncDispose]();
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return { failure: asFailure(error), after: Math.round(performance.now() - began) };
  }
}

async function faultsOf({ storage }: Copy): Promise<readonly string[]> {
  if (storage.driver === 'sqlite') {
    const { checkPages } = await import('../../store/sqlite/onlooker.ts');
    return checkPages(storage.sqlite.path);
  }
  const findings = new Findings();
  await withSchema(storage, { onlyLook: true }, (db) => compareSchema(db, timeline, findings));
  return findings.found;
}

async function digestsOf({ storage, clock, signal }: Copy): Promise<ReadonlyMap<string, string>> {
  await using snapshot = await readSnapshot(storage, { clock, signal });
  const totals = await digestTables(snapshot);
  return new Map(totals.flatMap(({ table, digest }) => (RESTLESS.has(table) ? [] : [[table, digest]])));
}

function keyFilesOf({ config }: Copy): readonly string[] {
  const names = readdirSync(config.signing.key_path).filter((name) => name.endsWith('.pem'));
  return names.map((name) => path.basename(name, '.pem')).sort();
}

/** Schemas that restores have put aside are not within the scratch one. */
async function forgetKept({ config, log }: Copy): Promise<void> {
  if (config.storage.driver !== 'postgres') return;
  await forgetRestores(config, { log }).catch((error: unknown) => {
    const { code, message } = asFailure(error);
    if (code !== 'not_found') log.warn({ reason: message }, 'what a drill has put aside is still there');
  });
}
