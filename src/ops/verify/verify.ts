/**
 * `backup verify`: looks for every backup that there should be, reads the bytes of those whose turn it is, and restores and
 * tries what can be opened here. What it finds is signed and written beside the backup, so that what does not pass counts
 * for nothing any more.
 */
import type { Identities } from '../../archive/age.ts';
import { type BackupRecord, type CatalogEntry, signVerification } from '../../archive/catalog.ts';
import { CannotRead } from '../../archive/format.ts';
import type { Signer, Trust } from '../../archive/signature.ts';
import type { Clock } from '../../kernel/clock.ts';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Watch } from '../../kernel/watch.ts';
import { noSuchBackup, readCatalogs, type TargetCatalog } from '../backup/catalog.ts';
import type { BackupCaller, Prover } from '../backup/desk.ts';
import type { BackupPlace } from '../backup/place.ts';
import type { VerifiedBackup } from '../backup/remembered.ts';
import { checkBytes } from './bytes.ts';
import type { VerifyLedger } from './ledger.ts';
import type { Proof } from './proof.ts';
import type { LearnReport, Verdict, VerifyProgress, VerifyReport, VerifyRequest } from './verify-report.ts';

export interface VerifyDesk {
  readonly places: readonly BackupPlace[];
  readonly trust: Trust;
  /** Undefined where nobody here knows whose backups these should be. */
  readonly deploymentId: string | undefined;
  /** What opens backups here; both lists may be empty. */
  readonly identities: Identities;
  /** Undefined where the signing key is not at hand: nothing is marked then. */
  readonly signer: Signer | undefined;
  readonly ledger: VerifyLedger;
  /** Receipts of removals, as `target id`. Asked for only when something is gone. */
  receipts(): Promise<ReadonlySet<string>>;
  readonly prove: Prover;
  /** Told of each backup that was restored and has passed. */
  remember(backup: VerifiedBackup): Promise<void>;
  readonly clock: Clock;
  readonly program: string;
}

/** The verb as a server has it, with what its settings open. */
export interface Verification {
  /** Failures: as `verifyBackups`. */
  run(request: VerifyRequest, watch: Watch<VerifyProgress>, caller: BackupCaller): Promise<VerifyReport>;
  /**
   * Hears of backups that somebody has verified elsewhere, with keys that are not here. What lies signed beside them is
   * believed, and nothing else. Failures: `unavailable` when a target does not answer, `interrupted`.
   */
  learn(ids: readonly string[], signal: AbortSignal, caller: BackupCaller): Promise<LearnReport>;
}

/** A copy of a backup on a target. */
interface Copy {
  readonly place: BackupPlace;
  readonly entry: CatalogEntry;
}

/** How much is done with a copy. */
type Depth = 'restore' | 'bytes' | 'presence';

/**
 * Failures: `not_found` when there is no such backup; `refused` when what is at hand does not open the one that was asked
 * for; `interrupted`. Everything else is in the report.
 */
export async function verifyBackups(
  desk: VerifyDesk,
  request: VerifyRequest,
  watch: Watch<VerifyProgress>,
): Promise<VerifyReport> {
  return new Verifying(desk, request, watch).run();
}

class Verifying {
  readonly #desk: VerifyDesk;
  readonly #request: VerifyRequest;
  readonly #watch: Watch<VerifyProgress>;
  readonly #started: number;
  /** What came of the archives that were restored, by their SHA-256: another copy need only be the same. */
  readonly #proofs = new Map<string, Proof>();
  #number = 0;
  #of = 0;

  constructor(desk: VerifyDesk, request: VerifyRequest, watch: Watch<VerifyProgress>) {
    this.#desk = desk;
    this.#request = request;
    this.#watch = watch;
    this.#started = desk.clock.now();
  }

  async run(): Promise<VerifyReport> {
    const { places, trust, clock, ledger } = this.#desk;
    const catalogs = await readCatalogs(places, trust, { signal: this.#watch.signal });
    const missing = await this.#takeStock(catalogs);
    const chosen = this.#choose(catalogs, missing);
    this.#of = chosen.length;
    const backups: Verdict[] = [];
    for (const copy of chosen) {
      this.#number += 1;
      backups.push(await this.#verify(copy, this.#depthOf(copy)));
    }
    if (this.#request.part !== null) ledger.nextTurn();
    ledger.save();
    const targets = catalogs.map(({ description, entries, problem }) => ({
      target: description.name,
      backups: entries.length,
      problem,
    }));
    const outcome = outcomeOf(
      backups,
      missing.length > 0,
      targets.some(({ problem }) => problem !== null),
    );
    return { outcome, backups, targets, missing, duration: clock.now() - this.#started };
  }

  /** Which backups have gone without a receipt. A target that did not answer to its end has lost nothing for all we know. */
  async #takeStock(catalogs: readonly TargetCatalog[]): Promise<VerifyReport['missing']> {
    const { ledger, clock } = this.#desk;
    const missing: { target: string; id: string; last_seen: number }[] = [];
    let receipts: ReadonlySet<string> | undefined;
    for (const { description, entries, problem } of catalogs) {
      const target = description.name;
      const present = new Set(entries.map(({ id }) => id));
      const gone = problem === null ? ledger.gone(target, present) : [];
      if (gone.length > 0) receipts ??= await this.#desk.receipts();
      const removed = gone.filter(({ id }) => receipts?.has(`${target} ${id}`));
      const lost = gone.filter((each) => !removed.includes(each));
      ledger.forget(
        target,
        (this.#request.acceptMissing ? gone : removed).map(({ id }) => id),
      );
      ledger.see(
        target,
        entries.filter((entry) => this.#isOurs(entry)).map(({ id }) => id),
        clock.now(),
      );
      missing.push(...lost.map(({ id, at }) => ({ target, id, last_seen: at })));
    }
    return missing;
  }

  /** None where what was asked for is gone: then the report says that it is. */
  #choose(catalogs: readonly TargetCatalog[], missing: VerifyReport['missing']): readonly Copy[] {
    const copies = catalogs.flatMap(({ place, entries }) => entries.map((entry) => ({ place, entry })));
    const { which } = this.#request;
    const id = which === 'latest' ? this.#latest(copies) : which === 'all' ? undefined : which.id;
    const found = copies.filter(({ entry }) => (which === 'all' ? this.#isOurs(entry) : entry.id === id));
    const isGone = missing.some((each) => id === undefined || each.id === id);
    if (found.length > 0 || isGone) return found;
    const problem = catalogs.find((each) => each.problem !== null)?.problem;
    if (typeof problem === 'string') throw new Failure('unavailable', problem);
    if (id !== undefined) throw noSuchBackup(id);
    throw new Failure('not_found', 'There is no backup yet.', {
      hint: 'Make one: `authserver backup create`.',
    });
  }

  /** By its sequence, whatever the clocks said. */
  #latest(copies: readonly Copy[]): string | undefined {
    const ours = copies.filter(({ entry }) => this.#isOurs(entry) && entry.record);
    return ours.reduce<CatalogEntry | undefined>(
      (latest, { entry }) =>
        (entry.record?.sequence ?? 0) > (latest?.record?.sequence ?? 0) ? entry : (latest ?? entry),
      undefined,
    )?.id;
  }

  /** One without a record that can be believed counts as ours: somebody may have changed it. */
  #isOurs({ record }: CatalogEntry): boolean {
    const { deploymentId } = this.#desk;
    return record === undefined || deploymentId === undefined || record.deployment_id === deploymentId;
  }

  #depthOf({ entry: { record, verification } }: Copy): Depth {
    const { part } = this.#request;
    if (part === null || verification?.passed !== true || record === undefined) return 'restore';
    return record.sequence % part === this.#desk.ledger.turn % part ? 'bytes' : 'presence';
  }

  async #verify(copy: Copy, depth: Depth): Promise<Verdict> {
    const { entry, place } = copy;
    const { record, verification, faults, doubts, id } = entry;
    const base = {
      target: place.target.name,
      id,
      made_at: record?.made_at ?? null,
      rto_ms: null,
      proven_at: verification?.passed ? verification.verified_at : null,
      marked: false,
    };
    if (record === undefined || faults.length > 0) {
      const findings = [...faults, ...doubts].map(sentence);
      return { ...base, proven_at: null, outcome: 'failed', tried: 'presence', findings, notes: [] };
    }
    const notes = doubts.map(sentence);
    if (depth === 'presence') return { ...base, outcome: 'passed', tried: 'presence', findings: [], notes };
    try {
      const proof = depth === 'restore' ? await this.#restore(copy, record, notes) : undefined;
      if (proof) return await this.#concluded(copy, record, proof, notes);
      const findings = await this.#read(copy, record);
      // Bytes that are as recorded prove nothing new; others take a former proof away.
      if (findings.length === 0) return { ...base, outcome: 'passed', tried: 'bytes', findings, notes };
      const marked = await this.#mark(copy, record, { passed: false, findings, rto_ms: 0 }, notes);
      return { ...base, proven_at: null, outcome: 'failed', tried: 'bytes', findings, notes, marked };
    } catch (error) {
      const { code, message } = asFailure(error);
      if (code !== 'unavailable') throw error;
      return { ...base, outcome: 'not_tried', tried: 'presence', findings: [], notes: [...notes, message] };
    }
  }

  /** Undefined when nothing at hand opens it. */
  async #restore(copy: Copy, record: BackupRecord, notes: string[]): Promise<Proof | undefined> {
    const { sha256, size } = record.file;
    const known = this.#proofs.get(sha256);
    if (known) {
      const findings = await this.#read(copy, record);
      return findings.length === 0 ? known : { ...known, passed: false, findings };
    }
    if (!this.#mayOpen(record)) {
      notes.push('It was not restored, because no key at hand opens it.');
      return undefined;
    }
    const { deploymentId, identities, trust, prove } = this.#desk;
    const { signal } = this.#watch;
    const subject = {
      archive: copy.place.target.open(copy.entry.holding, signal),
      file: { size, sha256 },
      id: record.id,
      ...(deploymentId !== undefined && { deploymentId }),
      identities,
      trust,
      unpackedSize: record.unpacked_size,
    };
    try {
      const proof = await prove(subject, { signal, progress: (step) => this.#tell(copy, step) });
      this.#proofs.set(sha256, proof);
      return proof;
    } catch (error) {
      if (!(error instanceof CannotRead) || this.#request.which !== 'all') throw error;
      notes.push(`It was not restored. ${error.message}`);
      return undefined;
    }
  }

  #mayOpen({ encryption }: BackupRecord): boolean {
    const { identities = [], passphrases = [] } = this.#desk.identities;
    if (encryption.kind === 'none') return true;
    return (encryption.kind === 'age' ? identities : passphrases).length > 0;
  }

  async #concluded(copy: Copy, record: BackupRecord, proof: Proof, notes: string[]): Promise<Verdict> {
    const marked = await this.#mark(copy, record, proof, notes);
    const { id, made_at, rows, file } = record;
    const { passed, rto_ms } = proof;
    const at = this.#desk.clock.now();
    if (passed) await this.#desk.remember({ id, at, made_at, rto_ms, rows, size: file.size });
    return {
      target: copy.place.target.name,
      id,
      made_at,
      outcome: passed ? 'passed' : 'failed',
      tried: 'restored',
      findings: proof.findings,
      notes: [...notes, ...proof.notes],
      rto_ms,
      proven_at: passed ? at : null,
      marked,
    };
  }

  #read(copy: Copy, { file }: BackupRecord): Promise<readonly string[]> {
    this.#tell(copy, 'reading it');
    return checkBytes(copy.place.target.open(copy.entry.holding, this.#watch.signal), file);
  }

  /** Writes the outcome beside the backup. That it cannot be written is a note: the outcome stays what it is. */
  async #mark(
    { place }: Copy,
    { id, file }: BackupRecord,
    { passed, findings, rto_ms }: Pick<Proof, 'passed' | 'findings' | 'rto_ms'>,
    notes: string[],
  ): Promise<boolean> {
    const { signer, clock, program, trust } = this.#desk;
    if (!signer || !trust.includes(signer.publicKey)) {
      notes.push('The outcome was not written beside it: the key that signs backups is not here.');
      return false;
    }
    const verified_at = clock.now();
    const proof = {
      id,
      archive_sha256: file.sha256,
      passed,
      verified_at,
      rto_ms,
      program,
      findings: [...findings],
    };
    try {
      await place.target.mark(id, 'verified', await signVerification(proof, signer));
      return true;
    } catch (error) {
      notes.push(`The outcome could not be written beside it: ${asFailure(error).message}`);
      return false;
    }
  }

  #tell({ place, entry }: Copy, step: string): void {
    if (this.#watch.signal.aborted)
      throw new Failure('interrupted', 'The verification was cancelled before its end.', {
        hint: 'What was verified stays so. Run it again for the rest.',
      });
    const elapsed = this.#desk.clock.now() - this.#started;
    const { id } = entry;
    this.#watch.progress({
      id,
      target: place.target.name,
      number: this.#number,
      of: this.#of,
      step,
      elapsed,
    });
  }
}

function outcomeOf(
  backups: readonly Verdict[],
  isMissing: boolean,
  isSilent: boolean,
): VerifyReport['outcome'] {
  if (isMissing || backups.some(({ outcome }) => outcome === 'failed')) return 'failed';
  return isSilent || backups.some(({ outcome }) => outcome === 'not_tried') ? 'not_tried' : 'passed';
}

/** The catalog writes clauses. */
function sentence(clause: string): string {
  return `${clause.charAt(0).toUpperCase()}${clause.slice(1)}${clause.endsWith('.') ? '' : '.'}`;
}
