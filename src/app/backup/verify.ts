/**
 * `backup verify` as the command line has it: in the server that runs here, or beside it. A recovery key never goes to a
 * server: whoever has one verifies in their own process, and tells the deployment afterwards which proofs to look at.
 */
import { systemClock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import { knownSigners } from '../../ops/backup/recovery-key.ts';
import { verifyBackups } from '../../ops/verify/verify.ts';
import type {
  LearnReport,
  VerifyProgress,
  VerifyReport,
  VerifyRequest,
} from '../../ops/verify/verify-report.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { perform } from '../day-two.ts';
import { makeLog } from '../log.ts';
import { type KeyRequest, type KeysAtHand, keysAtHand } from '../restore/keys-at-hand.ts';
import { readSnapshot } from '../snapshots.ts';
import { makeDesk, makeVerification, rowsIn } from './verify-desk.ts';

/** Verifies where the store is, with what the settings open. Failures: those of `verifyBackups`, and of `perform`. */
export function verifyNow(
  config: Config,
  request: VerifyRequest,
  watch: Watch<VerifyProgress>,
): Promise<VerifyReport> {
  const { which, target, part, acceptMissing } = request;
  return perform<VerifyProgress, VerifyReport>(
    config,
    {
      path: '/admin/backups/verify',
      body: { which, target, part, accept_missing: acceptMissing },
      here: (workshop, told) =>
        makeVerification(workshop).run(request, told, {
          actor: 'admin:operator',
          ip: null,
        }),
    },
    watch,
  );
}

/** Has the deployment, or the server that runs here, read the proofs that lie beside these backups now. */
async function tell(config: Config, ids: readonly string[], signal: AbortSignal): Promise<void> {
  await perform<never, LearnReport>(
    config,
    {
      path: '/admin/backups/verified',
      body: { ids },
      here: (workshop, { signal: stop }) =>
        makeVerification(workshop).learn(ids, stop, {
          actor: 'admin:operator',
          ip: null,
        }),
    },
    { progress: () => undefined, signal },
  );
}

/**
 * Verifies in this process, with the keys that somebody has brought along: no server hears of them. Where the database can
 * be reached, it remembers what came of it. Failures: those of `verifyBackups` and of `keysAtHand`; `refused` when the recovery sheet is another deployment's.
 */
export async function verifyWithKeys(
  config: Config,
  request: VerifyRequest,
  brought: KeyRequest,
  watch: Watch<VerifyProgress>,
): Promise<VerifyReport> {
  const log = makeLog(config.observability.logging);
  const { keys, deploymentId, hasDatabase } = await factsOf(config, brought, watch.signal);
  const desk = await makeDesk({ config, clock: systemClock, log }, request, {
    deploymentId,
    trust: keys.trust,
    identities: keys,
    // The database belongs to the server, which is told of the proofs when they lie beside the backups.
    remember: async () => undefined,
  });
  const report = await verifyBackups(desk, request, watch);
  const ids = [...new Set(report.backups.filter(({ marked }) => marked).map(({ id }) => id))];
  if (ids.length === 0 || !hasDatabase) return report;
  try {
    await tell(config, ids, watch.signal);
    return report;
  } catch (error) {
    const note = `The proof lies beside it, but the database was not told: ${asFailure(error).message}`;
    const backups = report.backups.map((each) =>
      each.marked ? { ...each, notes: [...each.notes, note] } : each,
    );
    return { ...report, backups };
  }
}

interface Facts {
  readonly keys: KeysAtHand;
  readonly deploymentId: string | undefined;
  /** Whether there is one to be told. */
  readonly hasDatabase: boolean;
}

/** Whose backups these are and whom to believe: by the database, and where there is none, by the recovery sheet alone. */
async function factsOf(config: Config, brought: KeyRequest, signal: AbortSignal): Promise<Facts> {
  const found = await readFacts(config, signal).catch((error: unknown) => asFailure(error));
  if (found instanceof Failure) {
    const keys = await keysAtHand(config, brought, { signers: [], distrusted: [] });
    if (found.code === 'interrupted' || keys.trust.length === 0) throw found;
    return { keys, deploymentId: keys.deploymentId, hasDatabase: false };
  }
  const { deploymentId } = found;
  const keys = await keysAtHand(config, brought, found);
  const { deploymentId: named = deploymentId } = keys;
  if (named === deploymentId) return { keys, deploymentId, hasDatabase: true };
  throw new Failure('refused', `The recovery sheet is of deployment ${named}, and this is ${deploymentId}.`, {
    hint: 'Take the sheet of this deployment, or the settings of that one.',
  });
}

/** Read beside a server that may have the database, without becoming a writer. */
async function readFacts(config: Config, signal: AbortSignal) {
  const found = new Map<string, string>();
  const wanted = { clock: systemClock, tables: ['settings'], signal };
  await using snapshot = await readSnapshot(storageChoice(config), wanted);
  for await (const part of snapshot.parts()) {
    if (part.kind !== 'rows') continue;
    for (const { name, value } of rowsIn<{ name: string; value: string }>(part.bytes)) found.set(name, value);
  }
  return { deploymentId: snapshot.head.deployment.id, ...knownSigners((name) => found.get(name)) };
}
