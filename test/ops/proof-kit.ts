// Owns a deployment in use and the archives of it, whole ones and such as something is wrong with: what verifications are
// tried on.

import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { proveBackup } from '../../src/app/backup/prove.ts';
import { openRooms, type Rooms } from '../../src/app/compose.ts';
import { type Config, loadConfig } from '../../src/app/config.ts';
import { storageChoice } from '../../src/app/database.ts';
import { migrateSchema, openStore } from '../../src/app/open-store.ts';
import { readSnapshot } from '../../src/app/snapshots.ts';
import type { Encryption } from '../../src/archive/age.ts';
import { collect, makeSigner } from '../../src/archive/archive.test-kit.ts';
import { type ArchiveHead, type ArchiveTail, type RowPart, writeArchive } from '../../src/archive/writer.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { ProofSubject } from '../../src/ops/backup/desk.ts';
import type { Proof } from '../../src/ops/verify/proof.ts';
import { digestTables, type SnapshotTable } from '../../src/store/snapshot.ts';
import { type Engine, type FreshStorage, freshStorage } from '../setup/engines.ts';
import { QUICK } from '../setup/quick.ts';

export const ISSUER = 'https://id.example/auth';
export const ID = '00000001-20261122T000439Z-k3f9';

/** What is done to an archive while it is written; the signature holds all the same. */
export interface Sabotage {
  /** Other lines of some tables. */
  readonly lines?: Readonly<Record<string, (lines: readonly string[]) => readonly string[]>>;
  /** A table that is left out. */
  readonly without?: string;
  readonly head?: (head: ArchiveHead) => ArchiveHead;
  readonly tail?: (tail: ArchiveTail) => ArchiveTail;
}

/** Chance that comes the same way each time. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  of<const Item>(items: readonly Item[]): Item {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return items[(this.#state >>> 16) % items.length] as Item;
  }
}

export class Source implements AsyncDisposable {
  readonly config: Config;
  readonly rooms: Rooms;
  readonly stateDir: string;
  readonly signer = makeSigner();
  readonly #fresh: FreshStorage;

  private constructor(config: Config, rooms: Rooms, stateDir: string, fresh: FreshStorage) {
    this.config = config;
    this.rooms = rooms;
    this.stateDir = stateDir;
    this.#fresh = fresh;
  }

  /** @param env more settings, without `AUTHSERVER_` */
  static async make(engine: Engine, env: Readonly<Record<string, string>> = {}): Promise<Source> {
    const fresh = await freshStorage(engine);
    const stateDir = await mkdtemp(path.join(tmpdir(), 'authserver-proof-'));
    const config = await settings(stateDir, fresh, env);
    const choice = storageChoice(config);
    await migrateSchema(choice, { clock: systemClock, random: systemRandom });
    const rooms = await openRooms(config, await openStore(choice, silentLog), silentLog);
    for (const name of ['ada', 'grace', 'linus']) {
      const user = await rooms.users.create({ username: name, password: 'a password of some length' });
      await rooms.audit.record({ action: 'user.created', actor: 'system', user_id: user.id });
    }
    return new Source(config, rooms, stateDir, fresh);
  }

  /** Something happens that backups must be able to hold. */
  async live(chance: Chance): Promise<void> {
    const { users, keyring, audit, random } = this.rooms;
    const name = `user-${random.bytes(6).toString('hex')}`;
    const profile = { name: chance.of(['Zoë "🦉"', 'Ada\nLovelace', '\u2028', 'ａｂ\\', 'O\u0301']) };
    const user = await users.create({ username: name, password: null, profile });
    await audit.record({ action: 'user.created', actor: 'system', user_id: user.id, detail: profile });
    const next = chance.of(['rotate', 'remove', 'disable', 'nothing', 'recover'] as const);
    if (next === 'remove') await users.remove(user.id);
    if (next === 'disable') await users.setStatus(user.id, 'disabled');
    if (next === 'rotate') await keyring.rotate();
    const { signing } = keyring.state();
    if (next === 'recover' && signing !== null) await keyring.management.compromise(signing);
  }

  /** The same place with other settings, as another machine may have them. */
  otherwise(env: Readonly<Record<string, string>>): Promise<Config> {
    return settings(this.stateDir, this.#fresh, env);
  }

  async archive(sabotage: Sabotage = {}, encryption: Encryption = { kind: 'none' }): Promise<Buffer> {
    await using snapshot = await readSnapshot(storageChoice(this.config), { clock: systemClock });
    const { from, to, audit, deployment, steps, tables } = snapshot.head;
    const head: ArchiveHead = {
      id: ID,
      sequence: 1,
      deploymentId: deployment.id,
      restoreEpoch: deployment.restore_epoch,
      program: '0.1.0',
      madeAt: from,
      schema: steps,
      tables: tables.filter(({ name }) => name !== sabotage.without).map(shapeOf),
      recoveryPoint: { from, to, audit },
      tags: [],
    };
    const tail = await this.#tail();
    return await collect(
      writeArchive({
        head: sabotage.head?.(head) ?? head,
        parts: altered(snapshot.parts() as AsyncIterable<RowPart>, sabotage),
        tail: () => sabotage.tail?.(tail) ?? tail,
        encryption,
        signer: this.signer,
        random: systemRandom,
      }),
    );
  }

  /** @param subject what differs from an archive that is at home here */
  prove(
    archive: Buffer,
    subject: Partial<ProofSubject> = {},
    {
      config = this.config,
      ...parts
    }: { config?: Config; signal?: AbortSignal; progress?: (step: string) => void } = {},
  ): Promise<Proof> {
    return proveBackup(config, this.subject(archive, subject), {
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      ...parts,
    });
  }

  subject(archive: Buffer, subject: Partial<ProofSubject> = {}): ProofSubject {
    return {
      archive: inPieces(archive),
      id: ID,
      identities: {},
      trust: [this.signer.publicKey],
      ...subject,
    };
  }

  /** The content of the live database: a proof must not change it. */
  async fingerprint(): Promise<unknown> {
    await using snapshot = await readSnapshot(storageChoice(this.config), { clock: systemClock });
    return await digestTables(snapshot);
  }

  /** What trials have left in the state directory. */
  async leftovers(): Promise<readonly string[]> {
    return readdir(path.join(this.stateDir, 'scratch')).catch(() => []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rooms.close();
    await this.#fresh.dispose();
    await rm(this.stateDir, { recursive: true, force: true });
  }

  async #tail(): Promise<ArchiveTail> {
    const { keyring, store } = this.rooms;
    const rows = await store.keys.list({});
    const folder = path.join(this.stateDir, 'keys');
    const files = await readdir(folder).catch(() => []);
    const texts = await Promise.all(files.map((name) => readFile(path.join(folder, name), 'utf8')));
    const { jwt } = await keyring.sign('canary+jwt', { aud: 'urn:authserver:canary', iss: ISSUER, iat: 1 });
    return {
      privateKeys: files.map((name, index) => ({ name, text: texts[index] ?? '' })),
      publicKeys: rows.map(({ kid, public_jwk_json }) => ({
        kid,
        jwk: JSON.parse(public_jwk_json) as Record<string, unknown>,
        fingerprint: 'f',
      })),
      neededKeys: rows.map(({ kid }) => kid),
      config: `${JSON.stringify({ settings: { 'server.issuer': ISSUER }, canary: jwt })}\n`,
    };
  }
}

async function settings(
  stateDir: string,
  fresh: FreshStorage,
  env: Readonly<Record<string, string>>,
): Promise<Config> {
  const named = Object.entries(env).map(([name, value]) => [`AUTHSERVER_${name}`, value]);
  const { config } = await loadConfig({
    file: undefined,
    terminal: false,
    env: {
      AUTHSERVER_STATE_DIR: stateDir,
      AUTHSERVER_SERVER_ISSUER: ISSUER,
      ...QUICK,
      AUTHSERVER_STORAGE_DRIVER: fresh.driver,
      ...(fresh.driver === 'postgres' && { AUTHSERVER_STORAGE_POSTGRES_DSN: fresh.dsn }),
      ...(fresh.driver === 'sqlite' && { AUTHSERVER_STORAGE_SQLITE_PATH: fresh.path }),
      ...Object.fromEntries(named),
    },
  });
  return config;
}

function shapeOf({ name, columns, key }: SnapshotTable) {
  return { name, columns, key };
}

async function* altered(
  parts: AsyncIterable<RowPart>,
  { lines = {}, without }: Sabotage,
): AsyncGenerator<RowPart> {
  let held: string[] = [];
  for await (const part of parts) {
    if (part.table === without) continue;
    const alter = lines[part.table];
    if (!alter) yield part;
    else if (part.kind === 'rows') held.push(...Buffer.from(part.bytes).toString().split('\n').slice(0, -1));
    else {
      yield* tableOf(part.table, alter(held));
      held = [];
    }
  }
}

function* tableOf(table: string, lines: readonly string[]): Generator<RowPart> {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  if (lines.length > 0) yield { kind: 'rows', table, rows: lines.length, bytes };
  const digest = createHash('sha256').update(bytes).digest('hex');
  yield { kind: 'total', table, rows: lines.length, digest };
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
