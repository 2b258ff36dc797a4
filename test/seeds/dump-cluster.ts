// Owns the PostgreSQL server that the dumps of the guides are taken from: one of this machine's packages, whose dump tools fit it, which
// those of the other tests' server may not. A guide's own role and database are in it, empty.

import { unless } from '../deploy/folder.ts';
import { ArchivingCluster, noArchivingCluster } from '../setup/archiving-cluster.ts';
import { query } from '../setup/cluster.ts';
import type { FreshStorage } from '../setup/engines.ts';

/** For the title of a test: why it is skipped, or nothing where it runs. */
export const withoutDumps =
  noArchivingCluster === undefined ? unless('age') || unless('zstd') : ` (skipped: ${noArchivingCluster})`;

export class DumpCluster implements AsyncDisposable {
  readonly #cluster: ArchivingCluster;
  readonly #name: string;

  private constructor(cluster: ArchivingCluster, name: string) {
    this.#cluster = cluster;
    this.#name = name;
  }

  /** @param name of the role, which may make databases, and of its database */
  static async start(name: string): Promise<DumpCluster> {
    const cluster = await ArchivingCluster.start();
    await query(cluster.dsn, `create role ${name} login createdb`);
    const started = new DumpCluster(cluster, name);
    await started.empty();
    return started;
  }

  get port(): string {
    return new URL(this.#cluster.dsn).port;
  }

  dsn(database = this.#name): string {
    return `postgresql://${this.#name}@127.0.0.1:${this.port}/${database}`;
  }

  /** What the tools of PostgreSQL read, as an operator has it in the environment. */
  get env(): Readonly<Record<string, string>> {
    return { PGHOST: '127.0.0.1', PGPORT: this.port, PGUSER: this.#name, PGDATABASE: this.#name };
  }

  /** The database anew, for a server that does not run yet. */
  async empty(): Promise<FreshStorage> {
    await query(this.#cluster.dsn, `drop database if exists ${this.#name} with (force)`);
    await query(this.#cluster.dsn, `create database ${this.#name} owner ${this.#name}`);
    const dispose = async () => undefined;
    return { driver: 'postgres', dsn: this.dsn(), dispose, [Symbol.asyncDispose]: dispose };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cluster[Symbol.asyncDispose]();
  }
}
