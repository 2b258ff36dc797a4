/** What a restored backup holds, held to what its manifest says of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Manifest } from '../../archive/manifest.ts';
import { asFailure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import { DataKeys } from '../../keys/sealing/data-keys.ts';
import { sealedPrivateKeys } from '../../keys/sealing/sealed-rows.ts';
import { type ArchivedConfig, readArchivedConfig } from '../../ops/verify/archived-config.ts';
import { checkAudit } from '../../ops/verify/audit.ts';
import { checkSigningKeys } from '../../ops/verify/keys.ts';
import { checkSealed } from '../../ops/verify/sealed.ts';
import { compareSchema, compareTables } from '../../ops/verify/tables.ts';
import type { Migration } from '../../store/migrations/migration.ts';
import { stepsUpTo, timeline } from '../../store/migrations/timeline.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import { digestTables } from '../../store/snapshot.ts';
import type { Store } from '../../store/store.ts';
import type { Config } from '../config.ts';
import { KeyCustody } from '../keys.ts';
import { migrateSchema, openStore, withSchema } from '../open-store.ts';
import { readSnapshot } from '../snapshots.ts';
import { trialConfig, trialKeyFolder, withoutEnvKeys, withoutMasterKeys } from '../trial/config.ts';
import type { Unpacked } from '../unpack.ts';
import type { ProofBench } from './prove-bench.ts';

/** A restored backup that a server can be started on. */
export interface Examined {
  /** Open on the scratch database; for whoever starts the server to close. */
  readonly store: Store;
  /** The settings that it is started with. */
  readonly config: Config;
  readonly archived: ArchivedConfig;
  /** Whether the private half of the active key is at hand. */
  readonly canSign: boolean;
}

/** Adds what is wrong to the findings; undefined when no server can be started on it. */
export async function examine(unpacked: Unpacked, bench: ProofBench): Promise<Examined | undefined> {
  const { findings } = bench;
  bench.begin('comparing every table with the manifest');
  await findings.attempt('It cannot be read back', () => compare(unpacked.manifest, bench));
  bench.begin("bringing it to this program's schema");
  const store = await findings.attempt('It cannot be migrated', async () => {
    await migrate(bench);
    return openStore(bench.scratch.storage, bench.log);
  });
  if (!store) return undefined;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => store.close());
  bench.begin('checking the audit chain');
  const { audit: end } = unpacked.manifest.recovery_point;
  await findings.attempt('The audit chain cannot be read', () =>
    checkAudit(store.audit, { end, pause: () => bench.pause() }, findings),
  );
  bench.begin('checking the keys and what they seal');
  const examined = await findings.attempt('Its keys cannot be read', () => checkKeys(store, unpacked, bench));
  if (examined) undo.move();
  return examined;
}

async function compare(manifest: Manifest, bench: ProofBench): Promise<void> {
  const { clock, signal, findings, scratch } = bench;
  await compareNames(stepsUpTo(manifest.schema), bench);
  await using snapshot = await readSnapshot(scratch.storage, { clock, signal });
  compareTables(manifest, await digestTables(snapshot), findings);
}

async function migrate(bench: ProofBench): Promise<void> {
  const { clock, random, signal, scratch } = bench;
  const taken = await migrateSchema(scratch.storage, { clock, random, stop: signal });
  if (taken.length > 0) await compareNames(timeline, bench);
}

function compareNames(steps: readonly Migration[], { scratch, findings }: ProofBench): Promise<void> {
  return withSchema(scratch.storage, { onlyLook: true }, (db) => compareSchema(db, steps, findings));
}

async function checkKeys(store: Store, unpacked: Unpacked, bench: ProofBench): Promise<Examined> {
  const { findings, scratch, config: own } = bench;
  const archived = readArchivedConfig(unpacked.config, findings);
  if (archived.issuer === undefined)
    findings.note('The archive does not name its issuer: it was tried with that of the settings here.');
  const rows = await store.keys.list({});
  const halves = privateHalves(unpacked, rows);
  checkSigningKeys(rows, { halves, manifest: unpacked.manifest }, findings);
  keep(halves, trialKeyFolder(scratch.folder));

  const issuer = archived.issuer ?? own.server.issuer;
  const whole = trialConfig(own, { storage: scratch.storage, folder: scratch.folder, issuer });
  const opensSealed = await checkSealedRows(whole, store, bench);
  const config = opensSealed ? whole : withoutMasterKeys(whole);
  const canSign = rows.length === 0 || (await opensActive(config, rows, store, bench));
  return { store, config: canSign ? config : withoutEnvKeys(config), archived, canSign };
}

/** The PEM texts of keys that the database knows, by id. */
function privateHalves({ keys }: Unpacked, rows: readonly SigningKeyRecord[]): ReadonlyMap<string, string> {
  const texts = new Map(keys.map(({ name, text }) => [name, text]));
  return new Map(
    rows.flatMap(({ kid }) => {
      const pem = texts.get(`${kid}.pem`);
      return pem === undefined ? [] : [[kid, pem]];
    }),
  );
}

function keep(halves: ReadonlyMap<string, string>, folder: string): void {
  mkdirSync(folder, { mode: 0o700 });
  for (const [kid, pem] of halves) writeFileSync(path.join(folder, `${kid}.pem`), pem, { mode: 0o600 });
}

/** Whether everything that is sealed opens with the master keys of these settings. */
async function checkSealedRows(config: Config, store: Store, bench: ProofBench): Promise<boolean> {
  const rows = await store.dataKeys.list({});
  const tables = [sealedPrivateKeys(store.privateKeys)];
  const custody = openCustody(config, store, bench);
  try {
    const masters = config.data_encryption.driver === 'none' ? undefined : await custody.masters();
    const { clock, random } = bench;
    const dataKeys =
      masters && new DataKeys({ store: store.dataKeys, masters, clock, random, ids: makeIds(clock, random) });
    return await checkSealed({ rows, dataKeys, tables, pause: () => bench.pause() }, bench.findings);
  } catch (error) {
    const { code, message } = asFailure(error);
    if (code !== 'configuration') throw error;
    // The settings here cannot be read, whatever the backup is like.
    bench.findings.note(`No master key of the settings here can be used: ${message}`);
    return false;
  } finally {
    custody.close();
  }
}

/** Whether the private half of the active key can be used without asking anybody outside. */
async function opensActive(
  config: Config,
  rows: readonly SigningKeyRecord[],
  store: Store,
  bench: ProofBench,
): Promise<boolean> {
  const active = rows.find(({ state }) => state === 'active');
  if (!active) return false;
  const { kid, key_store } = active;
  const custody = openCustody(config, store, bench);
  try {
    const keyStore = await custody.named(key_store);
    await keyStore?.signer(active);
    if (keyStore) return true;
  } catch (error) {
    bench.log.debug({ kid, reason: asFailure(error).message }, 'the active key cannot be used in the trial');
  } finally {
    custody.close();
  }
  if (key_store !== 'keyfile') {
    bench.findings.note(
      `The private half of the active key ${kid} is kept in the key store "${key_store}" and was not used: the trial signed with a key of its own.`,
    );
  }
  return false;
}

function openCustody(config: Config, store: Store, { clock, random, log }: ProofBench): KeyCustody {
  return new KeyCustody(config, { store, clock, random, ids: makeIds(clock, random), log });
}
