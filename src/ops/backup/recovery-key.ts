/**
 * What the database knows of the recovery key and of those who sign backups. It has public halves only: who takes the
 * server takes no old backup with it.
 */
import type { Trust } from '../../archive/signature.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Failure } from '../../kernel/errors.ts';
import type { SettingStore } from '../../store/store.ts';

/** The public half of the recovery key. */
const RECIPIENT = 'backup.recipient';
/** JSON: which key was confirmed to be written down, and when. */
const CONFIRMED = 'backup.confirmed_at';
/** JSON: a list of public signing keys. */
const SIGNERS = 'backup.signers';
/** JSON: a list of those of them that were taken out. */
const DISTRUSTED = 'backup.distrusted';
/** Twenty servers that sign for the first time at the same moment. */
const TRIES = 40;

/** What a database says of those who sign. */
export interface KnownSigners {
  readonly signers: Trust;
  /** Those whose signatures count no more, whoever vouches for them. */
  readonly distrusted: Trust;
}

export interface RecoveryKeyState extends KnownSigners {
  /** Undefined where none was ever made. */
  readonly recipient: string | undefined;
  /** ms, when somebody showed that the present key is written down; undefined where nobody has. */
  readonly confirmedAt: number | undefined;
}

export class RecoveryKeyRecords {
  readonly #settings: SettingStore;
  readonly #clock: Clock;

  constructor({ settings, clock }: { settings: SettingStore; clock: Clock }) {
    this.#settings = settings;
    this.#clock = clock;
  }

  async state(): Promise<RecoveryKeyState> {
    const recipient = await this.#get(RECIPIENT);
    const confirmed = JSON.parse((await this.#get(CONFIRMED)) ?? '{}') as { recipient?: string; at?: number };
    const isOfThisKey = recipient !== undefined && confirmed.recipient === recipient;
    const [signers, distrusted] = [await this.#list(SIGNERS), await this.#list(DISTRUSTED)];
    return {
      recipient,
      confirmedAt: isOfThisKey ? confirmed.at : undefined,
      ...sifted(signers, distrusted),
    };
  }

  /** Keeps the public half of a first key. False: another process was quicker, and this key is of no use. */
  async keepFirst(recipient: string): Promise<boolean> {
    const { outcome } = await this.#put(RECIPIENT, recipient, true);
    return outcome === 'put';
  }

  /** From now on backups are for this key; answers the former one. */
  async replace(recipient: string): Promise<string | undefined> {
    const former = await this.#get(RECIPIENT);
    await this.#put(RECIPIENT, recipient, false);
    return former;
  }

  /** Notes that the holder of this key has shown it. Failures: `refused` when it is not the present one. */
  async confirm(recipient: string): Promise<void> {
    const present = await this.#get(RECIPIENT);
    if (present !== recipient) throw notThisKey(present);
    await this.#put(CONFIRMED, JSON.stringify({ recipient, at: this.#clock.now() }), false);
  }

  /**
   * Adds a public signing key to those that are believed; answers who is and who is not.
   * Failures: `refused` when it was taken out, `unavailable`.
   */
  async trust(signer: string): Promise<KnownSigners> {
    const distrusted = await this.#list(DISTRUSTED);
    if (distrusted.includes(signer)) throw takenOut();
    const signers = await this.#change(SIGNERS, (known) => withKey(known, signer));
    return sifted(signers, distrusted);
  }

  /** Takes a public signing key out of those that are believed, for good. Failures: `unavailable`. */
  async distrust(signer: string): Promise<void> {
    // First: were this the last that is done, its signatures would count no more.
    await this.#change(DISTRUSTED, (known) => withKey(known, signer));
    await this.#change(SIGNERS, (known) =>
      known.includes(signer) ? known.filter((each) => each !== signer) : known,
    );
  }

  /** @param change answers the same list where nothing is to be changed */
  async #change(name: string, change: (known: Trust) => Trust): Promise<Trust> {
    for (let tried = 0; tried < TRIES; tried++) {
      const kept = await this.#get(name);
      const known = readSigners(kept);
      const wanted = change(known);
      if (wanted === known) return known;
      const value = JSON.stringify(wanted);
      if (kept === undefined) await this.#put(name, value, true);
      else await this.#settings.swap({ setting: this.#setting(name, value), former: kept });
    }
    throw new Failure('unavailable', 'The list of those who sign backups changed all the time.', {
      hint: 'Run the command again.',
    });
  }

  async #list(name: string): Promise<Trust> {
    return readSigners(await this.#get(name));
  }

  async #get(name: string): Promise<string | undefined> {
    return (await this.#settings.get({ name }))?.value;
  }

  #put(name: string, value: string, ifAbsent: boolean) {
    return this.#settings.put({ setting: this.#setting(name, value), if_absent: ifAbsent });
  }

  #setting(name: string, value: string) {
    return { name, value, updated_at: this.#clock.now() };
  }
}

/** Names of the settings that `knownSigners` asks for. */
export const SIGNER_SETTINGS: readonly string[] = [SIGNERS, DISTRUSTED];

/** @param setting the value of one of `SIGNER_SETTINGS` */
export function knownSigners(setting: (name: string) => string | undefined): KnownSigners {
  return sifted(readSigners(setting(SIGNERS)), readSigners(setting(DISTRUSTED)));
}

function sifted(signers: Trust, distrusted: Trust): KnownSigners {
  return { signers: signers.filter((each) => !distrusted.includes(each)), distrusted };
}

function withKey(known: Trust, signer: string): Trust {
  return known.includes(signer) ? known : [...known, signer];
}

function readSigners(value: string | undefined): Trust {
  return value === undefined ? [] : (JSON.parse(value) as string[]);
}

function takenOut(): Failure {
  return new Failure('refused', 'The key that signs backups here was taken out of those that count.', {
    hint: 'If this machine may make backups again, move backup-signing.pem out of its state directory: another key is made then.',
  });
}

function notThisKey(present: string | undefined): Failure {
  if (present === undefined) {
    return new Failure('refused', 'There is no recovery key yet.', {
      hint: 'Make one: `authserver backup key replace`.',
    });
  }
  return new Failure('refused', 'That is not the recovery key that backups are made for.', {
    hint: `The right one has the public half ${present}. If it is lost, make another one now: \`authserver backup key replace\`.`,
  });
}
