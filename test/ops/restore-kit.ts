// Owns an installation whose database can be backed up, destroyed and restored: a state directory, users, keys, and a folder
// of backups written by hand. Knows the settings and the store, nothing of how a restore works.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openSigningKey } from '../../src/app/backup/signing-key.ts';
import { type Config, loadConfig } from '../../src/app/config.ts';
import { storageChoice } from '../../src/app/database.ts';
import { migrateSchema, openStore, type StorageChoice } from '../../src/app/open-store.ts';
import type { WorldParts } from '../../src/app/restore/prepared.ts';
import { prepareRestore, type RestoreRequest } from '../../src/app/restore/restore.ts';
import { prepareUndo } from '../../src/app/restore/undo.ts';
import { readSnapshot } from '../../src/app/snapshots.ts';
import type { Encryption } from '../../src/archive/age.ts';
import { makeBackupId } from '../../src/archive/backup-id.ts';
import { recordOf, signVerification } from '../../src/archive/catalog.ts';
import type { Signer } from '../../src/archive/signature.ts';
import { Folder } from '../../src/archive/targets/folder.ts';
import { makeTarget, type Target } from '../../src/archive/targets/target.ts';
import { writeArchive } from '../../src/archive/writer.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { RestoreReceipt } from '../../src/ops/restore/receipt.ts';
import { digestTables } from '../../src/store/snapshot.ts';
import type { Store } from '../../src/store/store.ts';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { QUICK } from '../setup/quick.ts';

const PARTS = { clock: systemClock, random: systemRandom };

export const ASKED: RestoreRequest = {
  backup: undefined,
  target: undefined,
  to: undefined,
  into: undefined,
  sessions: 'end',
  removals: 'repeat',
  unverified: false,
  acceptDeployment: undefined,
  recoveryKeyFile: undefined,
  passphraseFile: undefined,
  trust: [],
};

export interface BackupOptions {
  readonly verified?: boolean;
  readonly encryption?: Encryption;
  readonly signer?: Signer;
  readonly keys?: readonly { readonly name: string; readonly text: string }[];
  /** Schema steps that this program does not know. */
  readonly newerSteps?: readonly {
    readonly version: number;
    readonly name: string;
    readonly checksum: string;
  }[];
}

export class Installation implements AsyncDisposable {
  readonly config: Config;
  readonly storage: StorageChoice;
  readonly env: Readonly<Record<string, string>>;
  readonly target: Target;
  readonly #fresh: FreshStorage;
  readonly #folder: string;
  #sequence = 0;

  private constructor(fresh: FreshStorage, folder: string, config: Config, env: Record<string, string>) {
    this.#fresh = fresh;
    this.#folder = folder;
    this.config = config;
    this.env = env;
    this.storage = storageChoice(config);
    const shelf = new Folder({ folder: path.join(folder, 'backups'), random: systemRandom });
    this.target = makeTarget('local', shelf);
  }

  /** With an empty, migrated database. */
  static async make(engine: Engine, more: Readonly<Record<string, string>> = {}): Promise<Installation> {
    const fresh = await freshStorage(engine);
    const folder = await mkdtemp(path.join(tmpdir(), 'authserver-restore-'));
    const env = {
      AUTHSERVER_STATE_DIR: folder,
      AUTHSERVER_STORAGE_DRIVER: fresh.driver,
      AUTHSERVER_OBSERVABILITY_LOGGING_LEVEL: 'error',
      ...QUICK,
      AUTHSERVER_RECOVERY_LOG: '',
      ...(fresh.driver === 'postgres' && { AUTHSERVER_STORAGE_POSTGRES_DSN: fresh.dsn }),
      ...more,
    };
    const { config } = await loadConfig({ file: undefined, terminal: false, env });
    const made = new Installation(fresh, folder, config, env);
    await migrateSchema(made.storage, PARTS);
    return made;
  }

  get stateDir(): string {
    return this.#folder;
  }

  /** The other settings' installation, of the same deployment or not, as one may be on another host. */
  async withStore<T>(work: (store: Store) => Promise<T>, storage = this.storage): Promise<T> {
    const store = await openStore(storage, silentLog);
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  addUser(name: string): Promise<unknown> {
    return this.withStore((store) =>
      store.users.create({ user: userOf(name), password_hash: `hash of ${name}` }),
    );
  }

  /** Names of users, and whether they may sign in. */
  users(storage = this.storage): Promise<Record<string, string>> {
    return this.withStore(async (store) => {
      const users = await store.users.list({ after: '', limit: 1000 });
      return Object.fromEntries(users.map(({ username, status }) => [username, status]));
    }, storage);
  }

  /** Every table's digest. */
  async digests(storage = this.storage): Promise<Readonly<Record<string, string>>> {
    await using snapshot = await readSnapshot(storage, { clock: systemClock });
    const totals = await digestTables(snapshot);
    return Object.fromEntries(totals.map(({ table, digest }) => [table, digest]));
  }

  keyFile(name: string): string {
    return path.join(this.config.signing.key_path, name);
  }

  async writeKey(name: string, text: string): Promise<void> {
    await mkdir(this.config.signing.key_path, { recursive: true });
    await writeFile(this.keyFile(name), text);
  }

  /** Makes a backup by hand; its id. */
  async backup(options: BackupOptions = {}): Promise<string> {
    const { verified = true, encryption = { kind: 'none' }, keys = await this.#privateKeys() } = options;
    const signer = options.signer ?? openSigningKey(this.#folder, systemRandom);
    this.#sequence += 1;
    await using snapshot = await readSnapshot(this.storage, { clock: systemClock });
    const { head } = snapshot;
    const id = makeBackupId(this.#sequence, head.from, systemRandom);
    const archive = writeArchive({
      head: {
        id,
        sequence: this.#sequence,
        deploymentId: head.deployment.id,
        restoreEpoch: head.deployment.restore_epoch,
        program: '0.0.0',
        madeAt: head.from,
        schema: [...head.steps, ...(options.newerSteps ?? [])].map(({ version, name, checksum }) => ({
          version,
          name,
          checksum,
        })),
        tables: head.tables.map(({ name, columns, key }) => ({ name, columns, key })),
        recoveryPoint: { from: head.from, to: head.to, audit: head.audit },
        tags: [],
      },
      parts: snapshot.parts(),
      tail: () => ({ privateKeys: keys, publicKeys: [], neededKeys: [], config: '{}' }),
      encryption,
      signer,
      random: systemRandom,
    });
    const file = await this.target.put({
      id,
      isEncrypted: encryption.kind !== 'none',
      archive,
      record: (written) => recordOf(archive.written(), written, signer),
    });
    if (verified) {
      const proof = { id, archive_sha256: file.sha256, passed: true, verified_at: Date.now(), rto_ms: 5 };
      await this.target.mark(
        id,
        'verified',
        await signVerification({ ...proof, program: '0', findings: [] }, signer),
      );
    }
    return id;
  }

  archiveOf(id: string, ending = 'tar.zst'): string {
    return path.join(this.#folder, 'backups', `${id}.${ending}`);
  }

  async restore(
    asked: Partial<RestoreRequest> = {},
    parts: Partial<WorldParts> = {},
  ): Promise<RestoreReceipt> {
    await using prepared = await prepareRestore(
      this.config,
      { ...ASKED, ...asked },
      { log: silentLog, ...parts },
    );
    return prepared.run({ progress: () => undefined, signal: new AbortController().signal });
  }

  async undo(parts: Partial<WorldParts> = {}): Promise<RestoreReceipt> {
    await using prepared = await prepareUndo(this.config, ASKED, { log: silentLog, ...parts });
    return prepared.run({ progress: () => undefined, signal: new AbortController().signal });
  }

  /** What lies in the state directory, but for what every start makes anew. */
  async files(): Promise<string[]> {
    const names = await readdir(this.#folder, { recursive: true });
    return names.filter((name) => !/^(lock|pid|backups(\/.*)?)$|-shm$|-wal$/.test(name)).sort();
  }

  async dispose(): Promise<void> {
    await this.#fresh.dispose();
    await rm(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #privateKeys() {
    const found: { name: string; text: string }[] = [];
    const add = async (file: string) =>
      found.push({ name: path.basename(file), text: await readFile(file, 'utf8') });
    for (const name of await readdir(this.config.signing.key_path).catch(() => []))
      await add(this.keyFile(name));
    openSigningKey(this.#folder, systemRandom);
    await add(path.join(this.#folder, 'backup-signing.pem'));
    return found;
  }
}

function userOf(name: string) {
  return {
    id: `user_${name}`,
    username: name,
    email: null,
    email_verified: 0 as const,
    status: 'active' as const,
    profile_json: '{}',
    created_at: 1,
    updated_at: 1,
  };
}
