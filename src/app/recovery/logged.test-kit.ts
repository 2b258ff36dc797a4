/** A database with a recovery log and shelves for it, and an oracle beside it that knows what it held when. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Encryption, Identities } from '../../archive/age.ts';
import { makeSigner } from '../../archive/archive.test-kit.ts';
import { Folder } from '../../archive/targets/folder.ts';
import { silentLog } from '../../kernel/log.ts';
import { systemRandom } from '../../kernel/random.ts';
import type { LogReading } from '../../ops/recovery/log-reader.ts';
import { LogShipper } from '../../ops/recovery/shipper.ts';
import type { LogShelf, SeenChain, ShippingPace } from '../../ops/recovery/shipping.ts';
import { readPosition } from '../../store/change-frame.ts';
import { spoolFolder } from '../../store/change-spool.ts';
import { NOW, newId } from '../../store/conformance/rows.ts';
import { World } from '../../store/conformance/world.ts';
import type { Store } from '../../store/store.ts';
import { migrateSchema, openStore, type StorageChoice } from '../open-store.ts';
import { replayLog } from './log-source.ts';

/** The content of the database from then on. */
interface Moment {
  readonly at: number;
  readonly digest: string;
}

/** A copy of the database, as a backup would have it. */
export interface Base {
  readonly file: string;
  readonly at: number;
}

/** Long enough for a round of shipping to follow the other. */
const PACE: ShippingPace = { interval: 5, look: 60_000, mergeAge: 3_600_000, mergeSize: 8 * 2 ** 20 };

export class Logged implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'authserver-log-'));
  readonly path = path.join(this.folder, 'db', 'authserver.db');
  readonly spool = spoolFolder(this.path);
  readonly shelves: readonly LogShelf[];
  readonly shelfFolders: readonly string[];
  readonly signer = makeSigner();
  readonly encryption: Encryption;
  readonly history: Moment[] = [];
  readonly seen: SeenChain[] = [];
  readonly faults: string[] = [];
  now = NOW;
  readonly clock = { now: () => this.now };
  readonly #random: () => number;
  readonly #limits: { limit?: number; longestFile?: number };
  #store: Store | undefined;
  #bases = 0;

  constructor({
    seed = 1,
    shelves = 1,
    encryption = { kind: 'none' } as Encryption,
    limits = {} as { limit?: number; longestFile?: number },
  } = {}) {
    this.encryption = encryption;
    this.#random = randomFrom(seed);
    this.#limits = limits;
    this.shelfFolders = Array.from({ length: shelves }, (_, n) => path.join(this.folder, `shelf-${n}`));
    this.shelves = this.shelfFolders.map((folder, n) => {
      return { name: `shelf-${n}`, shelf: new Folder({ folder, random: systemRandom }) };
    });
  }

  get store(): Store {
    if (!this.#store) throw new Error('it is not open');
    return this.#store;
  }

  get storage(): Extract<StorageChoice, { driver: 'sqlite' }> {
    return { driver: 'sqlite', sqlite: { path: this.path, wal: true } };
  }

  /** A number from 0 to below `below`. */
  chance(below: number): number {
    return Math.floor(this.#random() * below);
  }

  async open({ logged = true } = {}): Promise<this> {
    mkdirSync(path.dirname(this.path), { recursive: true });
    await migrateSchema(this.storage, { clock: this.clock, random: systemRandom });
    const { sqlite } = this.storage;
    const changeLog = { folder: this.spool, ...this.#limits };
    const choice = logged ? { ...sqlite, changeLog } : sqlite;
    this.#store = await openStore({ driver: 'sqlite', sqlite: choice }, silentLog, undefined, this.clock);
    return this;
  }

  async close(): Promise<void> {
    await this.#store?.close();
    this.#store = undefined;
  }

  ship(pace: Partial<ShippingPace> = {}, shelves = this.shelves): LogShipper {
    return new LogShipper({
      shelves,
      folder: this.spool,
      store: this.store,
      identity: async () => ({
        deploymentId: this.deploymentId,
        encryption: this.encryption,
        signer: this.signer,
        trust: [this.signer.publicKey],
      }),
      clock: this.clock,
      random: systemRandom,
      log: silentLog,
      pace: { ...PACE, ...pace },
      events: {
        chainSeen: (chain) => this.seen.push(chain),
        chainBroke: (shelf) => this.faults.push(shelf),
        shipped: () => undefined,
      },
    });
  }

  /** Ships all there is. */
  async shipAll(pace: Partial<ShippingPace> = {}, shelves = this.shelves): Promise<void> {
    await this.ship(pace, shelves)[Symbol.asyncDispose]();
  }

  /** So many random commits, each noted by the oracle. */
  async live(commits: number): Promise<void> {
    for (let n = 0; n < commits; n++) {
      this.now += this.chance(3) === 0 ? 0 : this.chance(5000);
      await this.#change();
      this.note();
    }
  }

  /** The oracle looks from outside. */
  note(): void {
    this.history.push({ at: this.now, digest: digestOf(this.path) });
  }

  base(): Base {
    const file = path.join(this.folder, `base-${this.#bases++}.db`);
    using db = new DatabaseSync(this.path, { readOnly: true });
    db.prepare('vacuum into ?').run(file);
    return { file, at: this.now };
  }

  /** What the database held at a time: the last commit of that time counts. */
  digestAt(time: number): string | undefined {
    return this.history.findLast(({ at }) => at <= time)?.digest;
  }

  reading(identities: Identities = {}): LogReading {
    const { deploymentId, shelves } = this;
    return { shelves, deploymentId, identities, trust: [this.signer.publicKey] };
  }

  async restore(base: Base, to: number | 'end', identities: Identities = {}) {
    const file = path.join(this.folder, 'restored.db');
    for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
    copyFileSync(base.file, file);
    const replayed = await replayLog(file, this.reading(identities), to);
    return { file, replayed, digest: digestOf(file) };
  }

  get deploymentId(): string {
    return String(this.#ask('select id as value from deployment'));
  }

  get position() {
    return readPosition(this.#ask("select value from settings where name = 'recovery.position'") as string);
  }

  /** Files of the log on a shelf, those of frames only. */
  segments(shelf = 0): readonly string[] {
    const names = readdirSync(this.shelfFolders[shelf] ?? '');
    return names.filter((name) => name.endsWith('.seg') && !name.includes('.000000000000-')).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #ask(text: string): unknown {
    using db = new DatabaseSync(this.path, { readOnly: true });
    return db.prepare(text).get()?.['value'];
  }

  /** One of the things that happen: rows come, change, go with all that hangs on them, and trade unique values. */
  async #change(): Promise<void> {
    const { store } = this;
    const world = new World(store);
    const users = await store.users.list({ after: '', limit: 1000 });
    const user = users[this.chance(users.length)];
    switch (user ? this.chance(7) : 0) {
      case 0:
      case 1:
        await world.granted();
        return;
      case 2:
        await store.users.remove({ id: user?.id ?? '', now: this.now });
        return;
      case 3:
        await store.users.setPassword({ user_id: user?.id ?? '', hash: newId('hash'), changed_at: this.now });
        return;
      case 4:
        await this.#tradeNames(users.slice(0, 2).map(({ id }) => id));
        return;
      case 5:
        await Promise.all(Array.from({ length: 1 + this.chance(20) }, () => world.user()));
        return;
      default: {
        const setting = { name: newId('s'), value: String(this.chance(1e9)), updated_at: this.now };
        await store.settings.put({ setting, if_absent: false });
      }
    }
  }

  /** Three updates in one batch after which two users have each other's name. */
  async #tradeNames([one = '', other = '']: readonly string[]): Promise<void> {
    const { store } = this;
    const [a, b] = await Promise.all([store.users.find({ id: one }), store.users.find({ id: other })]);
    if (!a || !b) return;
    await Promise.all([
      store.users.update({ user: { ...a, username: newId('between'), email: null } }),
      store.users.update({ user: { ...b, username: a.username } }),
      store.users.update({ user: { ...a, username: b.username, updated_at: this.now } }),
    ]);
  }
}

/** Of every row of every table. */
export function digestOf(file: string): string {
  using db = new DatabaseSync(file, { readOnly: true });
  const hash = createHash('sha256');
  const tables = db.prepare("select name from sqlite_schema where type = 'table' order by name").all();
  for (const { name } of tables) {
    const keys = db
      .prepare('select name from pragma_table_info(?) where pk > 0 order by pk')
      .all(String(name));
    const order = keys.map((key) => key['name']).join(', ');
    hash.update(`${name}\n`);
    for (const row of db.prepare(`select * from ${name} order by ${order}`).iterate()) {
      hash.update(`${JSON.stringify(row)}\n`);
    }
  }
  return hash.digest('hex');
}

/** Numbers from 0 to below 1 that are the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
