/** The steps of a restore, done: on whichever engine, from whatever it is that is brought back. */
import path from 'node:path';
import type { Trust } from '../../archive/signature.ts';
import { AuditTrail } from '../../audit/trail.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { makeIds } from '../../kernel/ids.ts';
import type { Log } from '../../kernel/log.ts';
import type { Random } from '../../kernel/random.ts';
import { readKeyPair } from '../../keys/key-pair.ts';
import { RecoveryKeyRecords } from '../../ops/backup/recovery-key.ts';
import { type AftercareReport, makeSafe } from '../../ops/restore/aftercare.ts';
import type { RestorePlan } from '../../ops/restore/plan.ts';
import { type RestoreReceipt, receiptText, signReceipt } from '../../ops/restore/receipt.ts';
import type { RestoreWork } from '../../ops/restore/run.ts';
import type { SigningKeyRecord } from '../../store/records.ts';
import type { TableTotal } from '../../store/snapshot.ts';
import type { Store } from '../../store/store.ts';
import { readSigningKey, SIGNING_KEY_FILE, type SigningKey, signingKeyOf } from '../backup/signing-key.ts';
import type { Config } from '../config.ts';
import { KeyCustody } from '../keys.ts';
import { migrateSchema, openStore, type StorageChoice } from '../open-store.ts';
import { stateFiles } from '../state-dir.ts';
import { programVersion } from '../version.ts';
import { compareRows } from './compare.ts';
import type { Files } from './files.ts';
import { finishRestore } from './finish.ts';
import {
  type Journal,
  type KeyMove,
  type LastRestore,
  type Place,
  type PostgresPlace,
  readLast,
  writeJournal,
} from './journal.ts';
import { type ArchivedKeyFile, clearKeyFiles, keyFolders, moveKeyFiles, stageKeyFiles } from './key-files.ts';
import type { TakenAway } from './log.ts';
import { clearStaging, makeStaging, STAGED_FILE } from './staging.ts';
import { isDecided, RESTORE_SETTING, swapFiles, swapTables } from './swap.ts';
import { type FormerKey, wayOn } from './way-on.ts';

/** What is brought back, and how it gets into an empty database. */
export interface Origin {
  readonly verb: 'restore' | 'undo';
  /** The id of the backup, or of the restore that is undone. */
  readonly from: string;
  fill(staged: StorageChoice, signal: AbortSignal): Promise<Filled>;
  /** Takes the rows on to the moment that was asked for. Absent where there is no log. */
  replay?(staged: StorageChoice, signal: AbortSignal): Promise<Reached>;
  /** Access that was taken away since, from wherever that is known. */
  revocations(signal: AbortSignal): Promise<TakenAway>;
}

export interface Reached {
  /** ms; undefined where the rows are as they were. */
  readonly reached: number | undefined;
  readonly notes: readonly string[];
}

export interface Filled {
  readonly totals: readonly TableTotal[];
  readonly keys: readonly ArchivedKeyFile[];
}

export interface RestorationParts {
  readonly config: Config;
  /** The database whose place is taken, and the settings of which lead to it. */
  readonly storage: StorageChoice;
  /** Another than the one that is served: there is no journal then, and no state directory goes over to it. */
  readonly isElsewhere: boolean;
  readonly id: string;
  readonly place: Place;
  readonly plan: RestorePlan;
  readonly origin: Origin;
  /** The restore epoch of the database whose place is taken; undefined where nobody knows. */
  readonly formerEpoch: number | undefined;
  /** Signing keys of that database; none where it is another deployment's, or nobody knows. */
  readonly formerKeys: readonly FormerKey[];
  /** Who that database does not believe any more: the restored one does not either. */
  readonly distrusted: Trust;
  /** What becomes of users and clients that were removed since: they are removed again, or disabled. */
  readonly removals: 'repeat' | 'disable';
  readonly actor: string;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export class Restoration implements RestoreWork {
  readonly #parts: RestorationParts;
  #staged: StorageChoice | undefined;
  #filled: Filled = { totals: [], keys: [] };
  #restoredTo: number;
  /** What has turned out on the way. */
  readonly #notes: string[];
  #aftercare: AftercareReport | undefined;
  /** What has to be done before the server can start. */
  #beforeStart: string | null = null;
  #receipt: RestoreReceipt | undefined;
  #isSwapped = false;

  constructor(parts: RestorationParts) {
    this.#parts = parts;
    this.#restoredTo = parts.plan.restored_to;
    this.#notes = [...parts.plan.notes];
  }

  /** Once all is done. */
  get receipt(): RestoreReceipt {
    if (!this.#receipt) throw new TypeError('the restore has not recorded anything yet');
    return this.#receipt;
  }

  /** Clears away what is staged, unless it has been decided: then whoever opens the state directory next goes on. */
  async giveUp(): Promise<void> {
    const { config, files, log, storage, place, isElsewhere } = this.#parts;
    if (!isElsewhere) return finishRestore(config, { files, log });
    if (this.#isSwapped) return;
    await clearStaging(files, storage, place);
    await clearKeyFiles(files, keyFolders(config));
  }

  async unpack(): Promise<void> {
    const { files, storage, place, origin, signal } = this.#parts;
    await this.#journal({ phase: 'staging' });
    this.#staged = await makeStaging(files, storage, place);
    this.#filled = await origin.fill(this.#staged, signal);
  }

  async compare(): Promise<void> {
    const { clock, signal } = this.#parts;
    await compareRows(this.#stagedStorage, this.#filled.totals, { clock, signal });
  }

  async replay(): Promise<void> {
    const { origin, signal } = this.#parts;
    const replayed = await origin.replay?.(this.#stagedStorage, signal);
    this.#restoredTo = replayed?.reached ?? this.#restoredTo;
    this.#notes.push(...(replayed?.notes ?? []));
  }

  async migrate(): Promise<void> {
    const { clock, random, signal } = this.#parts;
    await migrateSchema(this.#stagedStorage, { clock, random, stop: signal });
  }

  async checkKeys(): Promise<void> {
    const { config, clock, random, log } = this.#parts;
    await this.#withStore(async (store) => {
      for (const { kid, state } of await this.#lostKeys(store)) {
        this.#notes.push(
          `The private half of the ${state} signing key ${kid} is neither in the backup nor in ${config.signing.key_path}: the server will not sign with it. Look for it before you start: authserver keys recover --from-backup ID (of another backup); where it is lost: authserver keys recover --new.`,
        );
      }
      if ((await store.dataKeys.list({})).length === 0) return;
      const custody = new KeyCustody(config, { store, clock, random, log, ids: makeIds(clock, random) });
      try {
        await custody.dataKeys();
      } finally {
        custody.close();
      }
    });
  }

  /** Keys that sign, or will, and that nobody has the private half of. */
  async #lostKeys(store: Store): Promise<readonly SigningKeyRecord[]> {
    const { config, files } = this.#parts;
    const archived = new Map(this.#filled.keys.map(({ name, text }) => [name, text]));
    const lost: SigningKeyRecord[] = [];
    for (const key of await store.keys.list({})) {
      if (key.key_store !== 'keyfile' || (key.state !== 'active' && key.state !== 'pending')) continue;
      const name = `${key.kid}.pem`;
      const text = archived.get(name) ?? (await files.read(path.join(config.signing.key_path, name)));
      if (text === undefined || readKeyPair(text)?.kid !== key.kid) lost.push(key);
    }
    return lost;
  }

  async makeSafe(): Promise<void> {
    const { clock, plan, origin, formerEpoch, distrusted, removals, signal } = this.#parts;
    const { rows: revocations, notes } = await origin.revocations(signal);
    this.#notes.push(...notes);
    const { sessions } = plan;
    const request = { now: clock.now(), sessions, revocations, restoredTo: this.#restoredTo, removals };
    this.#aftercare = await this.#withStore(async (store) => {
      const signers = new RecoveryKeyRecords({ settings: store.settings, clock });
      for (const key of distrusted) await signers.distrust(key);
      const report = await makeSafe(store, {
        ...request,
        ...(formerEpoch !== undefined && { formerEpoch }),
      });
      const keys = await store.keys.list({});
      if (keys.length > 0 && !keys.some(({ state }) => state === 'active'))
        this.#beforeStart = await wayOn(new Set(keys.map(({ kid }) => kid)), this.#parts);
      return report;
    });
  }

  async record(): Promise<void> {
    const { clock, log, id, origin, actor } = this.#parts;
    const at = clock.now();
    const receipt = this.#makeReceipt(at);
    this.#receipt = receipt;
    await this.#withStore(async (store) => {
      const value = JSON.stringify({ id, backup: origin.from, at });
      await store.settings.put({
        setting: { name: RESTORE_SETTING, value, updated_at: at },
        if_absent: false,
      });
      const trail = new AuditTrail({ store: store.audit, clock, log });
      const action = origin.verb === 'restore' ? 'restore.completed' : 'restore.undone';
      const { type: _, format: __, ...detail } = receipt;
      await trail.record({ action, actor, detail });
      if (trail.lost > 0)
        throw new Failure('unavailable', 'The restore could not be recorded, so nothing was changed.');
    });
    await this.#flushStaged();
  }

  async decide(): Promise<void> {
    const { files, config, isElsewhere } = this.#parts;
    const keys = await stageKeyFiles(files, config, this.#filled.keys);
    const replaced = keys.find(({ kept }) => kept !== null);
    if (isElsewhere && replaced) {
      throw new Failure('refused', `${replaced.target} holds another key than the backup.`, {
        hint: 'Restore with settings whose signing.key_path and state_dir are those of the new place.',
      });
    }
    await this.#journal({
      phase: 'swapping',
      keys: [...keys],
      files: await this.#receiptFiles(),
      last: await this.#lastRestore(keys),
    });
  }

  async swap(): Promise<void> {
    const { config, files, log, isElsewhere, place } = this.#parts;
    if (isElsewhere) return this.#swapElsewhere();
    if (place.engine === 'postgres') await this.#swapTables(place);
    await finishRestore(config, { files, log });
  }

  /** No journal leads on from here: keys without their database harm nobody, and are taken for what they are the next time. */
  async #swapElsewhere(): Promise<void> {
    const { config, files, place } = this.#parts;
    await moveKeyFiles(files, await stageKeyFiles(files, config, this.#filled.keys));
    if (place.engine === 'sqlite') await swapFiles(files, place);
    else await this.#swapTables(place);
    this.#isSwapped = true;
    for (const file of await this.#receiptFiles()) {
      await files.makeFolder(path.dirname(file.path));
      await files.write(file.path, file.text);
    }
  }

  async #swapTables(place: PostgresPlace): Promise<void> {
    const { storage, log, signal, id } = this.#parts;
    await swapTables(storage, place, { log, signal });
    // To whoever finds the staged schema gone, it has been swapped in; that is to be seen.
    if (await isDecided(storage, { id, place })) return;
    throw new Failure('failed', `What was staged in ${place.staged} is gone, so nothing was changed.`, {
      hint: 'Somebody has removed that schema, or restores into the same database. Run the command again when nobody else does.',
    });
  }

  get #stagedStorage(): StorageChoice {
    if (!this.#staged) throw new TypeError('nothing has been staged');
    return this.#staged;
  }

  async #withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const store = await openStore(this.#stagedStorage, this.#parts.log);
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  async #journal(change: Partial<Journal> & Pick<Journal, 'phase'>): Promise<void> {
    const { config, files, id, place, plan, isElsewhere } = this.#parts;
    if (isElsewhere) return;
    const { deployment } = plan;
    await writeJournal(files, config.state_dir, {
      ...{
        format: 1,
        id,
        place,
        folders: [...keyFolders(config)],
        keys: [],
        files: [],
        deployment,
        last: null,
      },
      ...change,
    });
  }

  #makeReceipt(at: number): RestoreReceipt {
    const { plan, origin, id, actor } = this.#parts;
    if (!this.#aftercare) throw new TypeError('nothing has been made safe yet');
    return {
      type: 'authserver.restore-receipt',
      format: 1,
      id,
      verb: origin.verb,
      at,
      actor,
      program: programVersion(),
      deployment_id: plan.deployment,
      from: origin.from,
      restored_to: this.#restoredTo,
      lost: plan.lost && { from: this.#restoredTo, to: plan.lost.to },
      sessions: plan.sessions,
      kept_as: plan.kept_as,
      aftercare: this.#aftercare,
      before_start: this.#beforeStart,
      notes: this.#notes,
    };
  }

  async #receiptFiles(): Promise<{ path: string; text: string }[]> {
    const { config, id } = this.#parts;
    const file = path.join(config.state_dir, stateFiles.receipts, `restore-${id}`);
    return [
      { path: `${file}.json`, text: await signReceipt(this.receipt, this.#signer()) },
      { path: `${file}.txt`, text: receiptText(this.receipt) },
    ];
  }

  /** The key that the deployment signs its backups with from now on. */
  #signer(): SigningKey | undefined {
    const archived = this.#filled.keys.find(({ name }) => name === SIGNING_KEY_FILE);
    return archived ? signingKeyOf(archived.text) : readSigningKey(this.#parts.config.state_dir);
  }

  async #lastRestore(keys: readonly KeyMove[]): Promise<LastRestore> {
    const { files, config, id, origin, place } = this.#parts;
    const before = (await readLast(files, config.state_dir))?.copies ?? { databases: [], keys: [] };
    const { kept } = place;
    return {
      format: 1,
      id,
      verb: origin.verb,
      at: this.receipt.at,
      from: origin.from,
      place,
      keys: [...keys],
      copies: {
        databases: [...before.databases, ...(kept === null ? [] : [kept])],
        keys: [...before.keys, ...keys.flatMap((move) => move.kept ?? [])],
      },
    };
  }

  /** What SQLite wrote is on the disk with its commits; the names of the files are from now on. */
  async #flushStaged(): Promise<void> {
    const { files, place } = this.#parts;
    if (place.engine === 'postgres') return;
    await files.flush(path.join(place.staged, STAGED_FILE));
    await files.flush(place.staged);
    await files.flush(path.dirname(place.staged));
  }
}
