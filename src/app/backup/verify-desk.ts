/** What verifications are done with, out of the settings of this installation, and the verb for a server. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { AuditTrail } from '../../audit/trail.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import type { Log } from '../../kernel/log.ts';
import type { BackupCaller } from '../../ops/backup/desk.ts';
import { RECEIPTS_FILE, readReceipts } from '../../ops/backup/receipts.ts';
import { RememberedBackups, type VerifiedBackup } from '../../ops/backup/remembered.ts';
import { learnVerified } from '../../ops/verify/learn.ts';
import { VerifyLedger } from '../../ops/verify/ledger.ts';
import { type Verification, type VerifyDesk, verifyBackups } from '../../ops/verify/verify.ts';
import type { VerifyReport, VerifyRequest } from '../../ops/verify/verify-report.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { storageChoice } from '../database.ts';
import { readSnapshot } from '../snapshots.ts';
import { readState, writeState } from '../state-dir.ts';
import { programVersion } from '../version.ts';
import { backupTrust, passphraseIn } from './identity.ts';
import { openPlaces } from './places.ts';
import { makeProver } from './prover.ts';
import { readSigningKey } from './signing-key.ts';

/** Its name in the state directory. */
const LEDGER_FILE = 'verify-ledger.json';

export interface VerificationParts {
  readonly config: Config;
  readonly store: Pick<Store, 'settings' | 'deployment' | 'keys'>;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly log: Log;
}

export function makeVerification(parts: VerificationParts): Verification {
  const remembered = new RememberedBackups(parts.store.settings);
  return {
    async learn(ids, signal, caller) {
      const { config, store, clock, audit } = parts;
      const { id: deploymentId } = await store.deployment.get({});
      const [places, trust] = [await openPlaces(config, clock), await backupTrust(config, store)];
      const remember = (backup: VerifiedBackup) => remembered.keepVerified(backup);
      return learnVerified({ places, trust, deploymentId, audit, remember }, ids, signal, caller);
    },
    async run(request, watch, caller) {
      const { config, store } = parts;
      const { id: deploymentId } = await store.deployment.get({});
      const desk = await makeDesk(parts, request, {
        deploymentId,
        trust: await backupTrust(config, store),
        identities: { passphrases: await ownPassphrases(config) },
        remember: (backup) => remembered.keepVerified(backup),
      });
      const report = await verifyBackups(desk, request, watch);
      await record(parts, report, caller);
      return report;
    },
  };
}

export async function makeDesk(
  { config, clock, log }: Pick<VerificationParts, 'config' | 'clock' | 'log'>,
  { target }: VerifyRequest,
  known: Pick<VerifyDesk, 'deploymentId' | 'trust' | 'identities' | 'remember'>,
): Promise<VerifyDesk> {
  const { state_dir } = config;
  const file = {
    read: () => readState(state_dir, LEDGER_FILE),
    write: (text: string) => writeState(state_dir, LEDGER_FILE, text),
  };
  return {
    ...known,
    places: await openPlaces(config, clock, target ?? undefined),
    signer: readSigningKey(state_dir),
    ledger: new VerifyLedger(file, known.deploymentId),
    receipts: () => receiptsOf(config),
    prove: makeProver(config, log),
    clock,
    program: programVersion(),
  };
}

async function ownPassphrases({ backup }: Config): Promise<readonly string[]> {
  const passphrase = backup.passphrase ?? (await passphraseIn(backup.passphrase_file));
  return passphrase === undefined ? [] : [passphrase];
}

/** The removals that somebody has answered for, by this machine's own file and by the audit trail. */
async function receiptsOf(config: Config): Promise<ReadonlySet<string>> {
  const text = await readFile(path.join(config.state_dir, RECEIPTS_FILE), 'utf8').catch(() => '');
  const found = new Set(readReceipts(text).receipts.map(({ target, id }) => `${target} ${id}`));
  const wanted = { clock: systemClock, tables: ['audit_events'] };
  await using snapshot = await readSnapshot(storageChoice(config), wanted);
  for await (const part of snapshot.parts()) {
    if (part.kind !== 'rows') continue;
    for (const { action, detail_json } of rowsIn<{ action: string; detail_json: string }>(part.bytes)) {
      if (action !== 'backup.removed') continue;
      const { target, id } = JSON.parse(detail_json) as { target?: string; id?: string };
      found.add(`${target} ${id}`);
    }
  }
  return found;
}

export function* rowsIn<Row>(bytes: Uint8Array): Generator<Row> {
  for (const line of Buffer.from(bytes).toString().split('\n'))
    if (line !== '') yield JSON.parse(line) as Row;
}

/** One event for each backup that was restored, or did not pass. */
async function record(
  { audit, store }: VerificationParts,
  { backups, missing }: VerifyReport,
  caller: BackupCaller,
): Promise<void> {
  // An event in a database that was never used would make its first start look for keys that it never had.
  if ((await store.keys.list({})).length === 0) return;
  for (const { id, target, outcome, tried, findings, rto_ms } of backups) {
    const detail = { id, target, tried, rto_ms, findings };
    if (outcome === 'failed') await audit.record({ action: 'backup.failed', ...caller, detail });
    else if (tried === 'restored') await audit.record({ action: 'backup.verified', ...caller, detail });
  }
  for (const { id, target } of missing)
    await audit.record({
      action: 'backup.failed',
      ...caller,
      detail: { id, target, findings: ['It is gone.'] },
    });
}
