import type { Clock } from '../../kernel/clock.ts';
import { type Absent, absent, type BackupFacts, type DatabaseFacts } from '../../ops/doctor/facts.ts';
import type { Onlooker } from '../../store/onlooker.ts';
import { findAdminSocket } from '../admin-socket.ts';
import type { Config, LoadedConfig } from '../config.ts';
import { type LookedAt, lookAtDatabase, UNREAD } from './database.ts';

/** What several checks need, looked at once: the database, the targets, and whether a server is at work. */
export class Visit implements AsyncDisposable {
  readonly loaded: LoadedConfig;
  readonly config: Config;
  readonly clock: Clock;
  /** Whatever it takes. */
  readonly deep: boolean;
  #serverRuns: Promise<boolean> | undefined;
  #database: Promise<LookedAt> | undefined;
  #backups: Promise<BackupFacts | Absent> | undefined;

  constructor(loaded: LoadedConfig, clock: Clock, deep: boolean) {
    this.loaded = loaded;
    this.config = loaded.config;
    this.clock = clock;
    this.deep = deep;
  }

  /** On this state directory. */
  serverRuns(): Promise<boolean> {
    this.#serverRuns ??= findAdminSocket(this.config.state_dir).then(
      (socket) => socket !== undefined,
      // There is not even a state directory.
      () => false,
    );
    return this.#serverRuns;
  }

  async database(): Promise<DatabaseFacts | Absent> {
    return (await this.#look()).facts;
  }

  /** What is read of the database, where it can be. */
  async read<T>(work: (onlooker: Onlooker) => Promise<T>): Promise<T | Absent> {
    const { onlooker } = await this.#look();
    return onlooker === undefined ? UNREAD : work(onlooker);
  }

  backups(): Promise<BackupFacts | Absent> {
    this.#backups ??= this.#listBackups();
    return this.#backups;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const looked = await this.#database?.catch(() => undefined);
    await looked?.onlooker?.close();
  }

  async #listBackups(): Promise<BackupFacts | Absent> {
    const { onlooker } = await this.#look();
    const { gatherBackups } = await import('./backups.ts');
    return gatherBackups(this.config, onlooker?.store, this.clock);
  }

  #look(): Promise<LookedAt> {
    this.#database ??= this.serverRuns().then((runs) => lookAtDatabase(this.config, runs));
    return this.#database;
  }
}

/** The facts themselves, or undefined where there are none. */
export async function ifAny<T extends object>(facts: Promise<T | Absent>): Promise<T | undefined> {
  const found = await facts.catch(() => absent(''));
  return 'absent' in found ? undefined : found;
}
