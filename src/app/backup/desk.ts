/** What the verbs about backups are done with, out of the settings of this installation. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import type { AuditTrail } from '../../audit/trail.ts';
import { type Clock, seconds } from '../../kernel/clock.ts';
import type { Ids } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import { type Meter, silentMeter } from '../../kernel/metrics.ts';
import type { Random } from '../../kernel/random.ts';
import type { KeyStores } from '../../keys/stores/key-store.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import type { KeyText } from '../../ops/backup/one-unit.ts';
import type { KeyRows } from '../../ops/backup/pack.ts';
import { RECEIPTS_FILE, receiptsIn } from '../../ops/backup/receipts.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { pointInTimeWindows } from '../pgbackrest/windows.ts';
import { expireBefore, logWindows } from '../recovery/windows.ts';
import { programVersion } from '../version.ts';
import { sendHeartbeat } from './heartbeat.ts';
import { backupTrust, chosenEncryption, openBackupIdentity } from './identity.ts';
import { makePacker } from './pack.ts';
import { openPlaces } from './places.ts';
import { makeProver } from './prover.ts';
import { settingsForArchive } from './settings-copy.ts';
import { openSigningKey, SIGNING_KEY_FILE } from './signing-key.ts';

export interface DeskParts {
  readonly config: Config;
  readonly store: Store;
  readonly audit: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly log: Log;
  readonly meter?: Meter;
  /** Only `named` is asked: a backup must not need a store that none of its rows is in. */
  readonly custody: Pick<KeyStores, 'named'>;
}

/** Nothing is opened or asked before a verb needs it. */
export function makeBackupDesk(parts: DeskParts): BackupDesk {
  const { config, store, audit, clock, random, ids, log, custody, meter = silentMeter } = parts;
  const program = programVersion();
  return {
    store,
    audit: { record: async (entry) => ((await isInUse(store)) ? audit.record(entry) : undefined) },
    clock,
    random,
    ids,
    log,
    meter,
    runner: `${hostname()}, process ${process.pid}`,
    program,
    spool: path.join(config.state_dir, 'spool'),
    places: (only) => openPlaces(config, clock, only),
    async identity() {
      const identity = await openBackupIdentity(config, store, random, clock);
      return { ...identity, signingKey: { name: SIGNING_KEY_FILE, text: identity.signer.pem } };
    },
    encryption: () => chosenEncryption(config, store),
    trust: () => backupTrust(config, store),
    receipts: receiptsIn(path.join(config.state_dir, RECEIPTS_FILE), () => clock.now()),
    pack: makePacker(config, program, () => openSigningKey(config.state_dir, random).pem),
    prove: makeProver(config, log),
    readKeys: () => readKeyFiles(config, custody),
    signCanary: (rows) => signCanary(config, rows, { store, custody, clock, ids, log }),
    heartbeat: () => sendHeartbeat(config.backup.heartbeat_url, log),
    settings: settingsForArchive(config),
    windows: (places, trust, entries) =>
      config.storage.driver === 'postgres'
        ? pointInTimeWindows(config, store.settings)
        : logWindows(places, trust, entries),
    expireLog: async (place, oldest) => expireBefore(place, oldest, await backupTrust(config, store)),
  };
}

/** An event in a database in which nothing was ever kept would make its first start look for keys that it never had. */
async function isInUse(store: Pick<Store, 'keys'>): Promise<boolean> {
  return (await store.keys.list({})).length > 0;
}

async function readKeyFiles(
  { signing }: Config,
  custody: Pick<KeyStores, 'named'>,
): Promise<readonly KeyText[]> {
  // To open the store would make the folder, where keys are kept elsewhere.
  const pems = existsSync(signing.key_path) ? (await custody.named('keyfile'))?.pems : undefined;
  if (!pems) return [];
  const texts = await Promise.all(
    (await pems.list()).map(async (kid) => ({ kid, pem: await pems.load(kid) })),
  );
  // One that was listed may be gone by now.
  return texts.flatMap(({ kid, pem }) => (pem === undefined ? [] : [{ kid, pem }]));
}

/** So that a restore can be seen to verify what was signed before it. It has the form of no token that anybody accepts. */
async function signCanary(
  { server }: Config,
  rows: KeyRows,
  { store, custody, clock, ids, log }: Pick<DeskParts, 'store' | 'custody' | 'clock' | 'ids' | 'log'>,
): Promise<string | null> {
  const active = rows.signingKeys.find(({ state }) => state === 'active');
  if (!active) return null;
  try {
    const record = (await store.keys.list({})).find(({ kid }) => kid === active.kid);
    const signer = record && (await (await custody.named(active.key_store))?.signer(record));
    const claims = {
      iss: server.issuer,
      aud: 'urn:authserver:canary',
      sub: 'canary',
      iat: seconds(clock.now()),
      jti: ids.next('canary'),
    };
    return (await signer?.sign('canary+jwt', claims)) ?? null;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    log.warn({ kid: active.kid, detail }, 'the backup has no token that its proof could verify');
    return null;
  }
}
