import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { type Log, type LogFields, silentLog } from '../kernel/log.ts';
import type { SigningKeyStore } from '../store/store.ts';
import type { Algorithm } from './jwk.ts';
import { type KeyChange, type Keyring, openKeyring } from './keyring.ts';
import type { Timing } from './lifecycle.ts';
import { MemoryKeyRows } from './memory-store.test-kit.ts';
import type { KeyStore, KeyStores, PemStore } from './stores/key-store.ts';
import { openKeyfile } from './stores/keyfile.ts';
import { pemKeyStore } from './stores/pem-key-store.ts';

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  #now = 1_800_000_000_000;

  now(): number {
    return this.#now;
  }

  /** @param duration ms */
  advance(duration: number): void {
    this.#now += duration;
  }

  moveTo(now: number): void {
    this.#now = now;
  }
}

/** Keeps what was logged as a warning or an error. */
export class MemoryLog implements Log {
  readonly lines: { level: 'warn' | 'error'; fields: LogFields; message: string }[] = [];
  readonly debug = silentLog.debug;
  readonly info = silentLog.info;

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
}

export const TIMING: Timing = {
  jwksMaxAge: 300_000,
  longestLifetime: 3_600_000,
  clockSkew: 5000,
  idTokenLifetime: 900_000,
  rotationInterval: 7_776_000_000,
};

/** A single store, where there is no other to speak of. */
export function onlyStore(home: KeyStore): KeyStores {
  return { home, named: async (name) => (name === home.name ? home : undefined) };
}

/** An installation, for tests: a database, a state directory, a clock, and as many processes as are opened on them. */
export class Installation<Store extends SigningKeyStore = MemoryKeyRows> implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly log = new MemoryLog();
  readonly changes: KeyChange[] = [];
  readonly store: Store;
  readonly folder: string;

  private constructor(store: Store, folder: string) {
    this.store = store;
    this.folder = folder;
  }

  static async make(): Promise<Installation> {
    return Installation.on(new MemoryKeyRows());
  }

  static async on<Store extends SigningKeyStore>(store: Store): Promise<Installation<Store>> {
    return new Installation(store, join(await mkdtemp(join(tmpdir(), 'keyring-')), 'keys'));
  }

  keyfile(): Promise<PemStore> {
    return openKeyfile({ folder: this.folder, clock: systemClock, log: this.log });
  }

  /** Starts a process. */
  async open(
    parts: {
      algorithm?: Algorithm;
      installationIsNew?: boolean;
      mustSign?: boolean;
      keyStores?: KeyStores;
    } = {},
  ): Promise<Keyring> {
    return openKeyring({
      store: this.store,
      keyStores: onlyStore(pemKeyStore(await this.keyfile())),
      algorithm: 'ES256',
      timing: TIMING,
      clock: this.clock,
      log: this.log,
      installationIsNew: true,
      onChange: (change) => this.changes.push(change),
      ...parts,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.folder, '..'), { recursive: true, force: true });
  }
}
