/**
 * The making of a backup: one archive from one moment, to every target, and then the proof that it can be restored. It
 * counts when it has passed; until then it is there, and is not believed.
 */
import type { Encryption, Identities } from '../../archive/age.ts';
import { makeIdentity, recipientOf } from '../../archive/age-keys.ts';
import { makeBackupId } from '../../archive/backup-id.ts';
import { signVerification, type Verification } from '../../archive/catalog.ts';
import type { Written } from '../../archive/writer.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import { underLease } from '../lease.ts';
import type { Proof } from '../verify/proof.ts';
import { findSequence } from './catalog.ts';
import {
  type CreateProgress,
  type CreateReport,
  heldReport,
  isProven,
  type TargetOutcome,
  verifyCommand,
} from './create-report.ts';
import type { BackupCaller, BackupDesk, SigningIdentity } from './desk.ts';
import { emptiedTargets } from './emptied.ts';
import { KeyMissing, keysOf } from './one-unit.ts';
import { type Published, publish, type ReadBack, readBack } from './publish.ts';
import { RememberedBackups } from './remembered.ts';
import { Spool } from './spool.ts';

export interface CreateRequest {
  /** The only target; null for all. */
  readonly target: string | null;
  readonly tags: readonly string[];
  /** Not encrypted, because somebody has said so in so many words. */
  readonly plaintext: boolean;
  /** Whether it is restored and tried. */
  readonly verify: boolean;
}

/** The lease of whoever makes a backup. */
export const BACKUP_LEASE = 'backup';
/** Keys that are rotated all the time may be missing from a snapshot once, not always. */
const SNAPSHOTS = 3;

/**
 * Makes a backup. What goes wrong with a target or with the proof is in the report.
 * Failures: `failed` when a key is missing (it is named), `refused`, `unavailable`, `configuration`, `interrupted`; then there
 * is no backup, and nothing is left of it.
 */
export async function createBackup(
  desk: BackupDesk,
  request: CreateRequest,
  watch: Watch<CreateProgress>,
  caller: BackupCaller,
): Promise<CreateReport> {
  const { clock, ids, runner, store } = desk;
  const leased = await underLease({ leases: store.leases, clock, ids, runner }, BACKUP_LEASE, (lost) =>
    createAlone(desk, request, { ...watch, signal: AbortSignal.any([watch.signal, lost]) }, caller),
  );
  return leased.outcome === 'held' ? heldReport(clock.now(), leased.by) : leased.value;
}

/** The same of whoever knows already that nobody else puts archives together in this spool. Failures: as `createBackup`. */
export function createAlone(
  desk: BackupDesk,
  request: CreateRequest,
  watch: Watch<CreateProgress>,
  caller: BackupCaller,
): Promise<CreateReport> {
  return new Creation(desk, request, watch, caller).run();
}

/** An archive in the spool, and what it takes to open it. */
interface Made {
  readonly id: string;
  readonly sequence: number;
  readonly madeAt: number;
  readonly written: Written;
  readonly encryption: Encryption;
  /** Of the identity that nobody keeps. */
  readonly identities: Identities;
}

/** What a target has, and what it gives back of it; undefined where nobody has looked. */
type Copy = Published & { readonly back?: ReadBack };

interface Tried {
  readonly proof: Proof | null;
  readonly notProven: string | null;
  readonly targets: readonly TargetOutcome[];
}

const UNTRIED: Tried = { proof: null, notProven: null, targets: [] };
const DAMAGED = 'what was read back is not what was written';

class Creation {
  readonly #desk: BackupDesk;
  readonly #request: CreateRequest;
  readonly #watch: Watch<CreateProgress>;
  readonly #caller: BackupCaller;
  readonly #spool: Spool;
  readonly #remembered: RememberedBackups;
  readonly #started: number;
  #id: string | undefined;
  #stepSince = 0;

  constructor(desk: BackupDesk, request: CreateRequest, watch: Watch<CreateProgress>, caller: BackupCaller) {
    this.#desk = desk;
    this.#request = request;
    this.#watch = watch;
    this.#caller = caller;
    this.#spool = new Spool(desk.spool);
    this.#remembered = new RememberedBackups(desk.store.settings);
    this.#started = desk.clock.now();
  }

  async run(): Promise<CreateReport> {
    try {
      const report = await this.#run();
      await this.#note(report);
      return report;
    } catch (error) {
      await this.#noteFailure(error);
      throw error;
    } finally {
      if (this.#id !== undefined) await this.#spool.remove(this.#id);
    }
  }

  async #run(): Promise<CreateReport> {
    await this.#spool.prepare();
    const places = await this.#desk.places(this.#request.target ?? undefined);
    const identity = await this.#desk.identity();
    const made = await this.#pack(identity);
    this.#stepSince = this.#desk.clock.now();
    const { restore_epoch } = await this.#desk.store.deployment.get({});
    const emptied = await emptiedTargets(this.#remembered, { places, restore_epoch }, this.#signal);
    const published = await publish(
      places,
      {
        id: made.id,
        written: made.written,
        isEncrypted: made.encryption.kind !== 'none',
        signer: identity.signer,
        read: () => this.#spool.read(made.id),
      },
      this.#signal,
      (target, bytes) => this.#tell('publish', target, bytes, 'bytes', null),
    );
    const publishedAfter = this.#desk.clock.now() - this.#started;
    for (const { place, file } of published)
      if (file)
        await this.#remembered.keepLastOn(
          place.target.name,
          { id: made.id, restore_epoch },
          this.#desk.clock.now(),
        );
    await this.#audit('backup.created', { id: made.id, targets: published.map(describe) });
    const tried = this.#request.verify ? await this.#try(made, published, identity) : UNTRIED;
    return this.#report(made, published, { ...tried, emptied }, publishedAfter);
  }

  /** The archive in the spool: again from another moment when a key of this one is gone. */
  async #pack(identity: SigningIdentity): Promise<Made> {
    const { encryption, identities } = this.#openers(identity);
    const sequence = await this.#nextSequence(identity);
    for (let tried = 1; ; tried++) {
      const madeAt = this.#desk.clock.now();
      const id = makeBackupId(sequence, madeAt, this.#desk.random);
      this.#id = id;
      try {
        const written = await this.#packOnce({ id, sequence, madeAt, encryption }, identity);
        return { id, sequence, madeAt, written, encryption, identities };
      } catch (error) {
        await this.#spool.remove(id);
        if (!(error instanceof KeyMissing) || tried === SNAPSHOTS) throw error;
        this.#desk.log.warn(
          { detail: error.message },
          'a key is missing from the backup; another one is begun',
        );
      }
    }
  }

  async #packOnce(
    { id, sequence, madeAt, encryption }: Pick<Made, 'id' | 'sequence' | 'madeAt' | 'encryption'>,
    { deploymentId, signingKey }: SigningIdentity,
  ): Promise<Written> {
    const desk = this.#desk;
    this.#stepSince = desk.clock.now();
    const read = [await desk.readKeys()];
    let reading: Promise<void> | undefined;
    const file = this.#spool.fileOf(id);
    return desk.pack(
      { id, sequence, deploymentId, madeAt, tags: this.#request.tags, encryption, file },
      {
        begun() {
          reading = desk.readKeys().then((keys) => void read.push(keys));
          // It is waited for below, where there is somebody to hear of it.
          reading.catch(() => undefined);
        },
        async tail(rows) {
          await reading;
          const keys = keysOf(rows, [...read, await desk.readKeys()]);
          const config = JSON.stringify({ settings: desk.settings, canary: await desk.signCanary(rows) });
          return { ...keys, privateKeys: [...keys.privateKeys, signingKey], config: `${config}\n` };
        },
      },
      {
        progress: ({ rows, of }) =>
          this.#tell('snapshot', 'rows', rows, 'rows', of === 0 ? null : Math.min(1, rows / of)),
        signal: this.#signal,
      },
    );
  }

  /** Who can open it; for as long as it takes to try it, that is this process too. */
  #openers({ encryption }: SigningIdentity): { encryption: Encryption; identities: Identities } {
    if (this.#request.plaintext || encryption.kind === 'none')
      return { encryption: { kind: 'none' }, identities: {} };
    if (encryption.kind === 'passphrase')
      return { encryption, identities: { passphrases: [encryption.passphrase] } };
    if (!this.#request.verify) return { encryption, identities: {} };
    const once = makeIdentity(this.#desk.random);
    return { encryption: { ...encryption, once: recipientOf(once) }, identities: { identities: [once] } };
  }

  /** Remembered before it is used: the backup itself is to know of it. */
  async #nextSequence({ deploymentId, trust }: SigningIdentity): Promise<number> {
    const remembered = await this.#remembered.sequence();
    const all = await this.#desk.places();
    const sequence = await findSequence(all, trust, { deploymentId, remembered, signal: this.#signal });
    await this.#remembered.keepSequence(sequence, this.#desk.clock.now());
    return sequence;
  }

  /** Restores what the targets give back, and says on each of them how that went. */
  async #try(made: Made, published: readonly Published[], identity: SigningIdentity): Promise<Tried> {
    this.#stepSince = this.#desk.clock.now();
    const copies: Copy[] = [];
    const outcomes = () => copies.map(outcomeOf);
    try {
      for (const each of published) {
        const back = each.file && (await readBack(each.place, made.id, each.file, this.#signal));
        copies.push({ ...each, ...(back && { back }) });
      }
      const proof = await this.#prove(made, copies, identity);
      if (proof === null) return { proof, notProven: null, targets: outcomes() };
      const targets = await Promise.all(copies.map((copy) => this.#mark(copy, made.id, proof, identity)));
      return { proof, notProven: null, targets };
    } catch (error) {
      const { code, message, hint } = asFailure(error);
      if (code !== 'interrupted') {
        return {
          proof: null,
          notProven: hint === undefined ? message : `${message} ${hint}`,
          targets: outcomes(),
        };
      }
      throw new Failure(
        'interrupted',
        `Backup ${made.id} was made, and stopped before it was tried: it is not verified.`,
        { hint: `Try it: ${verifyCommand(made.id, made.encryption.kind)}` },
      );
    }
  }

  /** From the first target that gives back what it was given; null where none does. */
  async #prove(
    { id, identities, written }: Made,
    copies: readonly Copy[],
    { deploymentId, trust }: SigningIdentity,
  ): Promise<Proof | null> {
    const copy = copies.find(({ back }) => back === 'same');
    if (!copy?.file) return null;
    let steps = 0;
    const archive = copy.place.target.open(await copy.place.target.find(id), this.#signal);
    return this.#desk.prove(
      { archive, file: copy.file, id, deploymentId, identities, trust, unpackedSize: written.bytes },
      {
        signal: this.#signal,
        progress: (step) => {
          steps += 1;
          this.#tell('verify', step, steps, 'steps', null);
        },
      },
    );
  }

  /** Leaves the signed proof beside a copy; of one that could not be read there is nothing to say. */
  async #mark(copy: Copy, id: string, proof: Proof, { signer }: SigningIdentity): Promise<TargetOutcome> {
    const { place, file, back } = copy;
    const outcome = outcomeOf(copy);
    if (!file || (back !== 'same' && back !== 'other')) return outcome;
    const isWhole = back === 'same';
    const verification: Verification = {
      id,
      archive_sha256: file.sha256,
      passed: isWhole && proof.passed,
      verified_at: this.#desk.clock.now(),
      rto_ms: proof.rto_ms,
      program: this.#desk.program,
      findings: isWhole ? [...proof.findings] : [DAMAGED],
    };
    try {
      await place.target.mark(id, 'verified', await signVerification(verification, signer));
      return verification.passed ? { ...outcome, outcome: 'verified' } : outcome;
    } catch (error) {
      return { ...outcome, reason: `the proof could not be kept there: ${asFailure(error).message}` };
    }
  }

  #report(
    { id, sequence, madeAt, written, encryption }: Made,
    published: readonly Published[],
    { proof, notProven, targets, emptied }: Tried & { readonly emptied: ReadonlyMap<string, string> },
    publishedAfter: number,
  ): CreateReport {
    const file = published.find((each) => each.file)?.file;
    const { verify } = this.#request;
    const outcomes = targets.length > 0 ? targets : published.map(outcomeOf);
    const shown = outcomes.map((each) => ({
      ...each,
      reason: each.reason ?? emptied.get(each.target) ?? null,
    }));
    const wanted = verify ? 'verified' : 'published';
    const isGood = shown.every(({ outcome, reason }) => outcome === wanted && reason === null);
    return {
      outcome: isGood ? (verify ? 'verified' : 'made') : 'failed',
      id,
      sequence,
      made_at: madeAt,
      rows: written.rows,
      size: file?.size ?? 0,
      sha256: file?.sha256 ?? null,
      encryption: {
        kind: encryption.kind,
        recipients: encryption.kind === 'age' ? encryption.recipients : [],
      },
      targets: shown,
      proof,
      not_proven: notProven,
      duration: this.#desk.clock.now() - this.#started,
      published_after: publishedAfter,
      held_by: null,
    };
  }

  async #note(report: CreateReport): Promise<void> {
    const { id, outcome, made_at, rows, size, proof, duration, targets } = report;
    this.#measure(outcome, duration);
    await this.#remembered.keepRun({ at: this.#started, outcome });
    if (proof && id !== null && isProven(report)) {
      const at = this.#desk.clock.now();
      await this.#remembered.keepVerified({ id, at, made_at, rto_ms: proof.rto_ms, rows, size });
      await this.#audit('backup.verified', { id, rto_ms: proof.rto_ms });
    }
    if (outcome === 'verified') await this.#desk.heartbeat();
    if (outcome === 'failed')
      await this.#audit('backup.failed', { id, targets, findings: proof?.findings ?? [] });
  }

  async #noteFailure(error: unknown): Promise<void> {
    const { code, message, detail } = asFailure(error);
    // Whoever asks for what there is not has made no backup fail.
    if (code === 'invalid_input') return;
    const outcome = code === 'interrupted' ? 'interrupted' : 'failed';
    if (outcome === 'failed' && code !== 'refused')
      this.#desk.log.error({ code, reason: message, detail }, 'no backup was made');
    this.#measure(outcome, this.#desk.clock.now() - this.#started);
    // What went wrong may be the database itself.
    await this.#remembered.keepRun({ at: this.#started, outcome }).catch(() => undefined);
    await this.#audit('backup.failed', { id: this.#id ?? null, reason: message }).catch(() => undefined);
  }

  #measure(outcome: string, duration: number): void {
    this.#desk.meter.counter('authserver_backups_total', { outcome }).add();
    this.#desk.meter.histogram('authserver_backup_duration_seconds').observe(duration / 1000);
  }

  #audit(
    action: 'backup.created' | 'backup.verified' | 'backup.failed',
    detail: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    return this.#desk.audit.record({ action, ...this.#caller, detail });
  }

  #tell(
    step: CreateProgress['step'],
    what: string,
    done: number,
    unit: CreateProgress['unit'],
    share: number | null,
  ): void {
    const elapsed = this.#desk.clock.now() - this.#stepSince;
    this.#watch.progress({ step, what, done, unit, share, elapsed });
  }

  get #signal(): AbortSignal {
    return this.#watch.signal;
  }
}

function outcomeOf({ place, file, reason, back = 'same' }: Copy): TargetOutcome {
  const target = place.target.name;
  if (!file) return { target, outcome: 'failed', reason };
  if (back === 'same') return { target, outcome: 'published', reason };
  if (back === 'other') return { target, outcome: 'damaged', reason: DAMAGED };
  return { target, outcome: 'published', reason: `it could not be read back: ${back.unread}` };
}

function describe({ place, reason }: Published): object {
  return { target: place.target.name, published: reason === null, ...(reason !== null && { reason }) };
}
