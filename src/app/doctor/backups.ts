/** What the backup targets show of this deployment's backups. They are listed, never written to. */
import { type CatalogEntry, readHolding, retentionItem } from '../../archive/catalog.ts';
import type { Trust } from '../../archive/signature.ts';
import type { Clock } from '../../kernel/clock.ts';
import { asFailure } from '../../kernel/errors.ts';
import type { BackupPlace } from '../../ops/backup/place.ts';
import { RecoveryKeyRecords } from '../../ops/backup/recovery-key.ts';
import { RememberedBackups, type VerifiedBackup } from '../../ops/backup/remembered.ts';
import {
  type Absent,
  absent,
  type BackupFacts,
  type BackupTargetFacts,
  type KnownBackup,
  type RecoveryKeyFacts,
} from '../../ops/doctor/facts.ts';
import type { Store } from '../../store/store.ts';
import { backupTrust } from '../backup/identity.ts';
import { openPlaces } from '../backup/places.ts';
import { readSigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { readState, stateFiles } from '../state-dir.ts';
import { isBesideDatabase } from './files.ts';

/** How long one target may take to list what it has, ms. */
const PATIENCE = 30_000;

/**
 * Without a database, which may be away just when backups matter, the state directory knows whose they are and who signs them.
 * @param store undefined where the database cannot be read
 */
export async function gatherBackups(
  config: Config,
  store: Store | undefined,
  clock: Clock,
): Promise<BackupFacts | Absent> {
  const { id, since, trust, last } = await (store ? asTheDatabaseSays(config, store) : asTheDiskSays(config));
  if (id === undefined) return absent('there is no deployment yet');
  const places = await openPlaces(config, clock);
  const looks = await Promise.all(places.map((place) => lookAt(config, place, trust)));
  return {
    now: clock.now(),
    since,
    maxAge: config.backup.max_age,
    targets: looks.map(({ target }) => target),
    backups: looks.flatMap(({ backups }) => backups.filter(({ deploymentId }) => deploymentId === id)),
    remembered: last && { id: last.id, madeAt: last.made_at },
  };
}

/** Whose backups count. */
interface Ours {
  readonly id: string | undefined;
  readonly since: number;
  readonly trust: Trust;
  readonly last: VerifiedBackup | undefined;
}

async function asTheDatabaseSays(config: Config, store: Store): Promise<Ours> {
  const { id, created_at: since } = await store.deployment.get({});
  const last = await new RememberedBackups(store.settings).lastVerified();
  return { id, since, trust: await backupTrust(config, store), last };
}

async function asTheDiskSays({ state_dir, backup }: Config): Promise<Ours> {
  const id = readState(state_dir, stateFiles.deployment)?.trim() || undefined;
  const signer = readSigningKey(state_dir);
  const trust = [...backup.trusted_signers, ...(signer === undefined ? [] : [signer.publicKey])];
  return { id, since: 0, trust, last: undefined };
}

interface Look {
  readonly target: BackupTargetFacts;
  readonly backups: readonly (KnownBackup & { readonly deploymentId: string })[];
}

async function lookAt(config: Config, { target }: BackupPlace, trust: Trust): Promise<Look> {
  const { name, place, kind } = target.describe();
  const besideDatabase = kind === 'file' && isBesideDatabase(config, place);
  const backups: Look['backups'][number][] = [];
  try {
    for await (const holding of target.list({ signal: AbortSignal.timeout(PATIENCE) })) {
      const known = knownBackup(readHolding(holding, trust));
      if (known !== undefined) backups.push(known);
    }
    return { target: { name, place, besideDatabase, trouble: undefined }, backups };
  } catch (error) {
    const { message, detail } = asFailure(error);
    const trouble = detail ?? message.replace(/\.$/, '');
    return { target: { name, place, besideDatabase, trouble }, backups: [] };
  }
}

function knownBackup(entry: CatalogEntry): Look['backups'][number] | undefined {
  const item = retentionItem(entry);
  if (item === undefined || entry.record === undefined) return undefined;
  const { id, sequence, deploymentId, madeAt, state } = item;
  return { id, sequence, deploymentId, madeAt, state, target: entry.target, size: entry.record.file.size };
}

export async function gatherRecoveryKey(
  { backup }: Config,
  { settings }: Store,
  clock: Clock,
): Promise<RecoveryKeyFacts> {
  const { recipient, confirmedAt } = await new RecoveryKeyRecords({ settings, clock }).state();
  const hasPassphrase = backup.passphrase !== undefined || backup.passphrase_file !== undefined;
  const opens = () => {
    if (backup.plaintext) return 'anybody';
    if (hasPassphrase) return 'passphrase';
    if (recipient !== undefined) return 'recovery_key';
    return backup.recipients.length > 0 ? 'recipients' : 'nothing';
  };
  return { now: clock.now(), opens: opens(), confirmedAt };
}
