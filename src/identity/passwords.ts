import { hash, parseOptions, verify } from '@node-rs/argon2';
import { Failure } from '../kernel/errors.ts';

const ARGON2ID = 2;
const MIN_CHARACTERS = 8;
const MAX_BYTES = 1024;
/** How many more may wait for their turn, when nothing else is said. */
const LINE = 64;

export interface PasswordHasherOptions {
  /** KiB a hash. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  /** Hashes computed at once; each holds `memory` and one of the four threads of libuv's pool. */
  readonly concurrency: number;
  /** How many more may wait for their turn; beyond that the answer is `rate_limited`. */
  readonly waiting?: number;
}

/** Argon2id (RFC 9106) as PHC strings, never more at once than the machine bears. */
export class PasswordHasher {
  readonly #cost: { readonly memoryCost: number; readonly timeCost: number; readonly parallelism: number };
  readonly #decoy: string;
  readonly #turns: Turns;

  constructor(options: PasswordHasherOptions) {
    const { memory, passes, parallelism, concurrency, waiting = LINE } = options;
    this.#cost = { memoryCost: memory, timeCost: passes, parallelism };
    this.#decoy = decoyHash(memory, passes, parallelism);
    this.#turns = new Turns(concurrency, waiting);
  }

  /** A PHC string. Fails with `invalid_input` for a password that may not be set, `rate_limited` when too many wait. */
  async hash(password: string): Promise<string> {
    const fault = passwordFault(password);
    if (fault)
      throw new Failure('invalid_input', `The password ${fault}.`, { hint: 'Choose another password.' });
    return this.#turns.take(() => hash(prepared(password), this.#cost));
  }

  /**
   * Does the password belong to the hash? Null stands for "there is no such hash" and costs the same time, so that nobody
   * can tell by the clock which users exist. Fails with `rate_limited` when too many wait.
   */
  async verify(stored: string | null, password: string): Promise<boolean> {
    const possible = stored !== null && Buffer.byteLength(password) <= MAX_BYTES;
    const text = possible ? prepared(password) : '';
    const matches = await this.#turns.take(() => verify(possible ? stored : this.#decoy, text));
    return possible && matches;
  }

  /** Is the hash weaker than what would be made today? */
  needsRehash(stored: string): boolean {
    const { algorithm, memoryCost, timeCost } = parseOptions(stored);
    if (Number(algorithm) !== ARGON2ID) return true;
    return memoryCost < this.#cost.memoryCost || timeCost < this.#cost.timeCost;
  }
}

/** Why this cannot be a password, or undefined when it can. */
function passwordFault(password: string): string | undefined {
  if ([...prepared(password)].length < MIN_CHARACTERS)
    return `must have at least ${MIN_CHARACTERS} characters`;
  if (Buffer.byteLength(password) > MAX_BYTES) return `must not be longer than ${MAX_BYTES} bytes`;
  return undefined;
}

/** The same password from every keyboard (RFC 8265 section 4.2.2, OpaqueString). */
function prepared(password: string): string {
  return password.normalize('NFC');
}

/** A well-formed hash that no password is known to match, as expensive to check as a real one. */
function decoyHash(memory: number, passes: number, parallelism: number): string {
  const salt = Buffer.alloc(16, 0x5a).toString('base64').replace(/=+$/, '');
  const digest = Buffer.alloc(32).toString('base64').replace(/=+$/, '');
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${salt}$${digest}`;
}

/** Lets a few work at once and a few more wait in line. */
class Turns {
  #free: number;
  readonly #limit: number;
  readonly #line: (() => void)[] = [];

  constructor(atOnce: number, limit: number) {
    this.#free = atOnce;
    this.#limit = limit;
  }

  async take<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#wait();
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else this.#free++;
    }
  }

  async #wait(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    if (this.#line.length >= this.#limit) {
      throw new Failure('rate_limited', 'Too many people are signing in at this moment.', {
        hint: 'Wait a few seconds, then try again.',
        detail: `${this.#limit} password checks are waiting already`,
        retryAfter: 3,
      });
    }
    await new Promise<void>((resume) => this.#line.push(resume));
  }
}
