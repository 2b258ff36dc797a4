/**
 * The copy that a drill breaks: a database, private keys, a state directory and a backup target of its own, in a scratch
 * folder and, on PostgreSQL, a scratch schema.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import type { OpenArchive } from '../../archive/reader.ts';
import type { Clock } from '../../kernel/clock.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import { RecoveryKeyRecords } from '../../ops/backup/recovery-key.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { Store } from '../../store/store.ts';
import { writeRecoverySheet } from '../backup/recovery-sheet.ts';
import { SIGNING_KEY_FILE, type SigningKey } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { KeyCustody } from '../keys.ts';
import { migrateSchema, openStore, type StorageChoice } from '../open-store.ts';
import type { Scratch } from '../scratch.ts';
import { trialConfig, withoutEnvKeys } from '../trial/config.ts';
import { startTrial } from '../trial/server.ts';
import { unpackInto } from '../unpack.ts';

export interface Copy {
  /** The settings that its servers and commands have. */
  readonly config: Config;
  readonly storage: StorageChoice;
  /** The scratch folder around all of it. */
  readonly folder: string;
  readonly backups: string;
  /** The recovery sheet of the copy: it opens the copy's backups and no others. */
  readonly sheet: string;
  readonly keysAreFiles: boolean;
  readonly notes: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What every part of a drill is given. */
export type CopyParts = Pick<Copy, 'clock' | 'random' | 'log' | 'signal'>;

/** Connections that a copy takes on PostgreSQL at most: the live server needs them more. */
const CONNECTIONS = 3;
const KEY_FILE = /^[A-Za-z0-9_-]{1,128}\.pem$/;

/** Where in the scratch folder the copy has its state. */
export function copyStateDir({ folder }: Pick<Scratch, 'folder'>): string {
  return path.join(folder, 'state');
}

/** Puts an archive in place as an installation. Failures: those of `unpackInto` and of a server that starts. */
export async function layDown(
  live: Config,
  { scratch, archive, signer }: { scratch: Scratch; archive: OpenArchive; signer: SigningKey },
  parts: CopyParts,
): Promise<Copy> {
  const { clock, random, signal } = parts;
  const storage = placeIn(scratch);
  const backups = path.join(scratch.folder, 'backups');
  const config = copyConfig(live, { storage, stateDir: copyStateDir(scratch), backups });
  const unpacked = await unpackInto(storage, archive, { clock, random, signal });
  await migrateSchema(storage, { clock, random, stop: signal });
  mkdirSync(config.signing.key_path, { recursive: true, mode: 0o700 });
  for (const { name, text } of unpacked.keys) {
    if (!KEY_FILE.test(name) || name === SIGNING_KEY_FILE) continue;
    writeFileSync(path.join(config.signing.key_path, name), text, { mode: 0o600 });
  }
  const sheet = path.join(scratch.folder, 'recovery-sheet.txt');
  const store = await openStore(storage, parts.log);
  try {
    // Whoever held a lease then does so elsewhere.
    await store.aftercare.voidOnce({});
    await takeOverBackups(store, { sheet, signer }, parts);
    const active = (await store.keys.list({})).find(({ state }) => state === 'active');
    const opens = active === undefined || (await opensKey(config, active, store, parts));
    const copy: Copy = {
      ...parts,
      ...{ storage, folder: scratch.folder, backups, sheet },
      config: opens ? config : withoutEnvKeys(config),
      keysAreFiles: active === undefined || active.key_store === 'keyfile',
      notes: opens ? [] : [ownKeyNote(active)],
    };
    if (!opens) await signWithOwnKey(copy);
    return copy;
  } finally {
    await store.close();
  }
}

/** On SQLite in the state directory of the copy, which can be lost as a whole. */
function placeIn(scratch: Scratch): StorageChoice {
  const { storage } = scratch;
  if (storage.driver === 'sqlite') {
    const file = path.join(copyStateDir(scratch), 'authserver.db');
    return { driver: 'sqlite', sqlite: { ...storage.sqlite, path: file } };
  }
  const { postgres } = storage;
  // Under a name of its own: the servers of the live database are not in the way of a restore of this one.
  const dsn = new URL(postgres.dsn);
  dsn.searchParams.set('application_name', `drill ${postgres.channel}`);
  return { driver: 'postgres', postgres: { ...postgres, dsn: dsn.href, maxConnections: CONNECTIONS } };
}

/** The settings at hand, for an installation that keeps its backups to itself. */
function copyConfig(
  live: Config,
  { storage, stateDir, backups }: { storage: StorageChoice; stateDir: string; backups: string },
): Config {
  const config = trialConfig(live, { storage, folder: stateDir, issuer: live.server.issuer });
  return {
    ...config,
    storage: { ...config.storage, postgres: { ...config.storage.postgres, max_conns: CONNECTIONS } },
    backup: {
      ...config.backup,
      targets: [`copy=${backups}`],
      // So that a drill can see whether something is removed that has to stay.
      keep: { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
      minimum: 1,
      schedule: 'off',
      heartbeat_url: undefined,
      recipients: [],
      passphrase: undefined,
      passphrase_file: undefined,
      plaintext: false,
      trusted_signers: [],
    },
    drill: { ...config.drill, schedule: 'off' },
  };
}

/** From here on its backups are for a key that is made for it, and signed by another. */
async function takeOverBackups(
  store: Store,
  { sheet, signer }: { sheet: string; signer: SigningKey },
  { clock, random }: CopyParts,
): Promise<void> {
  const identity = makeIdentity(random);
  const recipient = recipientOf(identity);
  const records = new RecoveryKeyRecords({ settings: store.settings, clock });
  await records.replace(recipient);
  const { signers } = await records.trust(signer.publicKey);
  const { id } = await store.deployment.get({});
  const text = writeRecoverySheet({ deploymentId: id, signers, recipient, identity, madeAt: clock.now() });
  writeFileSync(sheet, text, { mode: 0o600 });
}

/** Whether the private half of a key can be used without asking anybody outside. */
async function opensKey(
  config: Config,
  key: SigningKeyRecord,
  store: Store,
  { clock, random, log }: CopyParts,
): Promise<boolean> {
  const custody = new KeyCustody(config, { store, clock, random, log, ids: makeIds(clock, random) });
  try {
    const keyStore = await custody.named(key.key_store);
    await keyStore?.signer(key);
    return keyStore !== undefined;
  } catch {
    return false;
  } finally {
    custody.close();
  }
}

function ownKeyNote({ kid, key_store }: SigningKeyRecord): string {
  return `The private half of the key ${kid} is kept in the key store "${key_store}" and was not used: the copy signs with a key of its own.`;
}

/** As after the loss of a key: the copy goes on with one that it makes. */
async function signWithOwnKey(copy: Copy): Promise<void> {
  const { config, storage, folder, clock, random, log, signal } = copy;
  const store = await openStore(storage, log);
  const parts = { folder, canSign: false, clock, random, log, signal };
  const server = await startTrial(config, store, parts);
  await server[Symbol.asyncDispose]();
}
