/** A server on the copy, and what happens to it while it serves. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readHolding } from '../../archive/catalog.ts';
import { type Clock, seconds } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import { createBackup } from '../../ops/backup/create.ts';
import { createFailure } from '../../ops/backup/create-report.ts';
import type { BackupDesk } from '../../ops/backup/desk.ts';
import { pruneBackups } from '../../ops/backup/prune.ts';
import type { MadeBackup, Pruned, Scene, Visit, Written } from '../../ops/drill/ground.ts';
import { surveyLog } from '../../ops/recovery/survey.ts';
import { RotationSchedule } from '../../ops/rotate.ts';
import { POSITION, readPosition } from '../../store/change-frame.ts';
import type { Store } from '../../store/store.ts';
import { makeAdminServer } from '../admin-server.ts';
import { makeBackupDesk } from '../backup/desk.ts';
import { backupTrust } from '../backup/identity.ts';
import { checkSchema, isLogged, openDatabase } from '../database.ts';
import { openStore } from '../open-store.ts';
import { shipLog } from '../recovery/ship.ts';
import { readingOf } from '../restore/log.ts';
import { TrialBrowser } from '../trial/browser.ts';
import { beginVisit, CANARY, checkOldToken, runCanary } from '../trial/canary.ts';
import { startTrial, type TrialServer } from '../trial/server.ts';
import type { Copy } from './copy.ts';

const SYSTEM = { actor: 'system', ip: null } as const;
/** How long, ms, what was committed may take to the shelf of the log before something is wrong. */
const SHIPPING = 60_000;
const LOOK = 50;
/** Users that are asked for at once. */
const PAGE = 500;
/** Several times over: what is begun by one round is gone on with by the next. */
const ROUNDS = 3;

/** Starts one. Failures: those of a server that starts. @param ahead how far its clock is ahead, ms */
export async function serveCopy(copy: Copy, ahead: number): Promise<ServedCopy> {
  await using undo = new AsyncDisposableStack();
  const { folder, random, log, signal, config } = copy;
  const clock: Clock = ahead === 0 ? copy.clock : { now: () => copy.clock.now() + ahead };
  const store = await openCopyStore(copy);
  const parts = { folder, canSign: true, clock, random, log, signal };
  const server = undo.use(await startTrial(config, store, parts));
  const shipped = shipLog(server.rooms);
  if (shipped) undo.use(shipped);
  const opened = undo.move();
  return new ServedCopy(copy, server, () => opened.disposeAsync());
}

/** As a server does, its commits in the recovery log; on PostgreSQL out of hearing of the live servers. */
export async function openCopyStore({ config, storage, log }: Copy): Promise<Store> {
  if (storage.driver === 'sqlite') return openDatabase(config, log);
  await checkSchema(config);
  return openStore(storage, log);
}

export class ServedCopy implements Scene {
  readonly #copy: Copy;
  readonly #server: TrialServer;
  readonly #desk: BackupDesk;
  readonly #close: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(copy: Copy, server: TrialServer, close: () => Promise<void>) {
    this.#copy = copy;
    this.#server = server;
    this.#close = close;
    const { rooms } = server;
    this.#desk = makeBackupDesk(rooms);
  }

  get socket(): string {
    return this.#server.socket;
  }

  async write(): Promise<Written> {
    const { users, random, clock } = this.#server.rooms;
    const { id } = await users.create({
      username: `drill-${random.bytes(12).toString('hex')}`,
      password: null,
    });
    return { id, at: clock.now() };
  }

  disable(id: string): Promise<void> {
    return this.#server.rooms.users.setStatus(id, 'disabled');
  }

  enable(id: string): Promise<void> {
    return this.#server.rooms.users.setStatus(id, 'active');
  }

  async removeUsers(own: readonly string[], most: number): Promise<readonly string[]> {
    const ids = new Set(own);
    for (let after: string | undefined = ''; after !== undefined && ids.size < most; ) {
      const page: readonly { id: string }[] = await this.#server.rooms.users.list({ after, limit: PAGE });
      for (const { id } of page) if (ids.size < most) ids.add(id);
      after = page.length < PAGE ? undefined : page.at(-1)?.id;
    }
    const app = makeAdminServer(this.#server.rooms, 'inject');
    try {
      for (const id of ids) {
        const { statusCode } = await app.inject({ method: 'DELETE', url: `/admin/users/${id}` });
        if (statusCode >= 300) throw new Failure('failed', `The admin API answered ${statusCode}.`);
      }
    } finally {
      await app.close();
    }
    return [...ids];
  }

  async users(ids: readonly string[]): Promise<ReadonlyMap<string, 'active' | 'disabled'>> {
    const found = new Map<string, 'active' | 'disabled'>();
    for (const id of ids) {
      const user = await this.#server.rooms.users.find(id);
      if (user) found.set(id, user.status);
    }
    return found;
  }

  async sign(): Promise<string> {
    const { keyring, ids, clock, issuer: iss } = this.#server.rooms;
    const { typ, aud } = CANARY;
    const claims = { iss, aud, sub: 'drill', iat: seconds(clock.now()), jti: ids.next('jti') };
    return (await keyring.sign(typ, claims)).jwt;
  }

  checkToken(jwt: string): Promise<void> {
    return checkOldToken(this.#browser(), this.#server.rooms.issuer, jwt);
  }

  visit(): Promise<Visit> {
    return beginVisit(this.#server.rooms, this.#browser());
  }

  canary(): Promise<void> {
    return runCanary(this.#server.rooms, this.#browser());
  }

  async shipped(): Promise<void> {
    const { config, clock, signal } = this.#copy;
    if (!isLogged(config)) return;
    const { settings, deployment } = this.#server.rooms.store;
    const position = readPosition((await settings.get({ name: POSITION }))?.value);
    const trust = await backupTrust(config, this.#server.rooms.store);
    const { id: deploymentId } = await deployment.get({});
    // What still waits beside the database is lost with it.
    const { spool: _, ...shelves } = await readingOf(config, clock, { trust, deploymentId, identities: {} });
    const deadline = performance.now() + SHIPPING;
    for (;;) {
      const chains = await surveyLog(shelves);
      const here = chains.find(({ chain }) => chain === position?.chain);
      if (here && position && here.last >= position.batch) return;
      if (performance.now() > deadline) throw neverShipped();
      await sleep(LOOK, undefined, { signal });
    }
  }

  async backup({ verify }: { readonly verify: boolean }): Promise<MadeBackup> {
    const request = { target: null, tags: ['drill'], plaintext: false, verify };
    const watch = { progress: () => undefined, signal: this.#copy.signal };
    const report = await createBackup(this.#desk, request, watch, SYSTEM);
    const failure = createFailure(report);
    if (failure) throw failure;
    const [place] = await this.#desk.places();
    const holding = report.id === null ? undefined : await place?.target.find(report.id);
    const entry = holding && readHolding(holding, await this.#desk.trust());
    if (!entry?.record) throw new Failure('failed', 'The backup is not where it was put.');
    return { id: entry.id, from: entry.record.recovery_point.from };
  }

  async prune(): Promise<Pruned> {
    const request = { target: null, dry_run: false, accept: [] };
    const { targets } = await pruneBackups(this.#desk, request, this.#copy.signal, SYSTEM);
    const stopped = targets.find(({ outcome }) => outcome === 'stopped');
    return { removed: targets.flatMap(({ removed }) => removed), stopped: stopped?.reason ?? null };
  }

  async lookAfterKeys(): Promise<void> {
    const { keyring, store, audit, clock, ids, log } = this.#server.rooms;
    const schedule = new RotationSchedule({ keyring, leases: store.leases, audit, clock, ids, log });
    for (let round = 0; round < ROUNDS; round++) {
      await keyring.tick();
      await schedule.tick();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #browser(): TrialBrowser {
    return new TrialBrowser(this.socket, this.#server.rooms.issuer, this.#copy.signal);
  }
}

function neverShipped(): Failure {
  return new Failure('failed', `What was committed has not reached the recovery log within ${SHIPPING} ms.`);
}
