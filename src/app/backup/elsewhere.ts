/** The verbs that need no database: whom to trust is on the recovery sheet, and what is remembered in the state directory. */
import path from 'node:path';
import type { Trust } from '../../archive/signature.ts';
import { systemClock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { type ListReport, listBackups } from '../../ops/backup/list.ts';
import { type PruneReport, type PruneRequest, prune } from '../../ops/backup/prune.ts';
import { RECEIPTS_FILE, receiptsIn } from '../../ops/backup/receipts.ts';
import type { Config } from '../config.ts';
import { expireBefore, logWindows } from '../recovery/windows.ts';
import { prepareStateDir, readState, writeState } from '../state-dir.ts';
import { withEndorsed } from './endorsed.ts';
import { openPlaces } from './places.ts';
import type { RecoverySheet } from './recovery-sheet.ts';

/** How many verified backups the last prune of each target kept, where there is no database to remember it. */
const KEPT_FILE = 'prune.json';

/** Failures: `invalid_input` for a sheet without a signer, or an unknown target; `interrupted`. */
export async function listElsewhere(
  config: Config,
  { target, sheet, signal }: { target: string | null; sheet: RecoverySheet; signal: AbortSignal },
): Promise<ListReport> {
  const trust = await trustOf(config, sheet);
  return listBackups(
    {
      places: (only) => openPlaces(config, systemClock, only),
      trust: async () => trust,
      windows: logWindows,
    },
    { target, signal },
  );
}

/** Failures: as `listElsewhere`; `invalid_input` when nothing says whose backups they are. */
export async function pruneElsewhere(
  config: Config,
  {
    sheet,
    deployment,
    signal,
    ...request
  }: PruneRequest & { sheet: RecoverySheet; deployment: string | undefined; signal: AbortSignal },
): Promise<PruneReport> {
  const { state_dir } = config;
  const trust = await trustOf(config, sheet);
  const deploymentId = deploymentOf(sheet, deployment);
  prepareStateDir(state_dir);
  const kept = () => JSON.parse(readState(state_dir, KEPT_FILE) ?? '{}') as Record<string, number>;
  const receipts = receiptsIn(path.join(state_dir, RECEIPTS_FILE), () => systemClock.now());
  return prune(
    {
      places: await openPlaces(config, systemClock, request.target ?? undefined),
      trust,
      deploymentId,
      clock: systemClock,
      lastKept: async (target) => kept()[target],
      keepKept: async (target, count) =>
        writeState(state_dir, KEPT_FILE, `${JSON.stringify({ ...kept(), [target]: count })}\n`),
      writeReceipt: (removal) => receipts.write(removal),
      withdrawReceipt: (removal, reason) => receipts.withdraw(removal, reason),
      expireLog: (place, oldest) => expireBefore(place, oldest, trust),
    },
    request,
    signal,
  );
}

async function trustOf(config: Config, { signers, deploymentId }: RecoverySheet): Promise<Trust> {
  const trust = [...new Set([...signers, ...config.backup.trusted_signers])];
  if (trust.length > 0) return withEndorsed(config, { trust, distrusted: [] }, deploymentId);
  throw new Failure('invalid_input', 'The recovery sheet names nobody whose signature counts.', {
    hint: 'Add the lines "# signer: ..." that `authserver backup key show --sheet` prints, or set backup.trusted_signers.',
  });
}

function deploymentOf(sheet: RecoverySheet, named: string | undefined): string {
  const found = named ?? sheet.deploymentId;
  if (found === undefined) {
    throw new Failure('invalid_input', 'Whose backups are they? The recovery sheet does not say.', {
      hint: 'Say --deployment ID; `authserver backup list --json` shows it.',
    });
  }
  if (sheet.deploymentId === undefined || sheet.deploymentId === found) return found;
  throw new Failure(
    'refused',
    `The recovery sheet is of deployment ${sheet.deploymentId}, not of ${found}.`,
    {
      hint: 'Take the sheet of that deployment.',
    },
  );
}
