import { readFile, stat } from 'node:fs/promises';
import { asFailure, Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';
import {
  connectionFailure,
  errorsOf,
  isOfVault,
  isSealed,
  sealed,
  type Transport,
  unavailable,
  type VaultAnswer,
  type VaultConnection,
} from './transport.ts';

/** How this server proves to Vault who it is. */
export type VaultAuth =
  | { readonly by: 'token'; readonly token: string }
  | { readonly by: 'token_file'; readonly file: string }
  | {
      readonly by: 'approle';
      readonly mount: string;
      readonly role_id: string;
      /** Read at each sign-in, so that it can be replaced while we run. */
      readonly secret: { readonly text: string } | { readonly file: string };
    };

/** The token that calls are made with. */
export interface VaultToken {
  /** Failures: `configuration` when there is none to be had, `unavailable`. */
  current(signal: AbortSignal): Promise<string>;
  /** `refused` was not accepted: true when there is another one to try. Failures: as `current`. */
  renew(refused: string, signal: AbortSignal): Promise<boolean>;
  close(): void;
}

export interface TokenParts {
  readonly connection: VaultConnection;
  readonly transport: Transport;
  readonly log: Log;
}

export function vaultToken(auth: VaultAuth, parts: TokenParts): VaultToken {
  switch (auth.by) {
    case 'token':
      return new LeasedToken(async () => ({ token: auth.token, signsInAgain: false }), parts);
    case 'token_file':
      return new FileToken(auth.file);
    case 'approle':
      return new LeasedToken(async (signal) => {
        const login = await signIn(auth, parts, signal);
        return { ...login, signsInAgain: true };
      }, parts);
  }
}

/** Whoever writes the file, an agent for one, sees to its lease. */
class FileToken implements VaultToken {
  readonly #file: string;
  #read: { readonly mark: string; readonly token: string } | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  async current(): Promise<string> {
    try {
      const { mtimeMs, ino, size } = await stat(this.#file);
      const mark = `${mtimeMs} ${ino} ${size}`;
      if (this.#read?.mark !== mark) this.#read = { mark, token: await readSecret(this.#file) };
      return this.#read.token;
    } catch (error) {
      throw unreadable(this.#file, error);
    }
  }

  async renew(refused: string): Promise<boolean> {
    this.#read = undefined;
    return (await this.current()) !== refused;
  }

  close(): void {
    this.#read = undefined;
  }
}

interface Lease {
  readonly token: string;
  /** Seconds; absent or 0 for a token that does not run out, or whose lease is not known yet. */
  readonly lease?: number;
  readonly renewable?: boolean;
  readonly signsInAgain: boolean;
}

/** The longest that a timer is set for, ms. */
const LONGEST_TIMER = 24 * 3_600_000;
/** The least time between two tries to renew, ms. */
const LEAST_TIMER = 1000;

/** A token that is renewed at half of its lease; where that fails, we sign in again. */
class LeasedToken implements VaultToken {
  readonly #obtain: (signal: AbortSignal) => Promise<Lease>;
  readonly #parts: TokenParts;
  #lease: Lease | undefined;
  #obtaining: Promise<Lease> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(obtain: (signal: AbortSignal) => Promise<Lease>, parts: TokenParts) {
    this.#obtain = obtain;
    this.#parts = parts;
  }

  async current(signal: AbortSignal): Promise<string> {
    return (this.#lease ?? (await this.#signIn(signal))).token;
  }

  async renew(refused: string, signal: AbortSignal): Promise<boolean> {
    // Another call may have signed in already.
    if (this.#lease?.token === refused) {
      if (!this.#lease.signsInAgain) return false;
      // Where the token is good and only the path is denied, a sign-in would spend a secret id for nothing.
      if ((await this.#askAboutSelf(refused, signal))?.status === 200) return false;
      if (this.#lease?.token === refused) this.#lease = undefined;
    }
    return (await this.current(signal)) !== refused;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#lease = undefined;
  }

  /** Calls that come together sign in once. */
  #signIn(signal: AbortSignal): Promise<Lease> {
    this.#obtaining ??= this.#obtain(signal)
      .then(async (lease) => {
        const known = lease.signsInAgain ? lease : { ...lease, ...(await this.#lookUp(lease, signal)) };
        this.#keep(known);
        if (!known.signsInAgain && known.lease && known.renewable !== true) this.#warnOfEnd();
        return lease;
      })
      .finally(() => {
        this.#obtaining = undefined;
      });
    return this.#obtaining;
  }

  #keep(lease: Lease): void {
    if (this.#closed) return;
    this.#lease = lease;
    const half = ((lease.lease ?? 0) * 1000) / 2;
    this.#wake(lease.renewable === true || lease.signsInAgain ? half : 0, half);
  }

  /** @param wait ms; 0 for never */
  #wake(wait: number, left: number): void {
    clearTimeout(this.#timer);
    if (wait === 0 || this.#closed) return;
    const delay = Math.min(Math.max(wait, LEAST_TIMER / 2), LONGEST_TIMER);
    this.#timer = setTimeout(() => void this.#extend(left), delay).unref();
  }

  /** At half of the lease. Trouble is logged, and tried again at half of what is left. */
  async #extend(left: number): Promise<void> {
    const former = this.#lease;
    if (former === undefined) return;
    const signal = AbortSignal.timeout(this.#parts.connection.timeout);
    try {
      const renewed = former.renewable === true ? await this.#renewSelf(former, signal) : undefined;
      // A lease that has come to its longest is renewed by less and less.
      const enough = renewed !== undefined && (renewed.lease ?? 0) * 2 >= (former.lease ?? 0);
      if (enough) this.#keep(renewed);
      else if (former.signsInAgain) await this.#signIn(signal);
      else this.#warnOfEnd();
    } catch (error) {
      const { message, hint } = asFailure(error);
      this.#parts.log.warn({ hint }, `could not renew the token of Vault, and will try again: ${message}`);
      this.#wake(Math.max(left / 2, LEAST_TIMER), left / 2);
    }
  }

  /** A token of the settings cannot be replaced here. */
  #warnOfEnd(): void {
    this.#parts.log.warn(
      { vault: this.#parts.connection.address },
      'the token of Vault in the settings runs out and cannot be renewed any further: set another one, or use AppRole or token_file',
    );
  }

  async #renewSelf(former: Lease, signal: AbortSignal): Promise<Lease | undefined> {
    const { connection, transport } = this.#parts;
    const headers = { 'x-vault-token': former.token };
    const answer = await transport('POST', 'auth/token/renew-self', headers, {}, signal).catch(
      (error: unknown) => {
        throw connectionFailure(connection, error);
      },
    );
    if (answer.status >= 500) throw unavailable(connection, `answers ${answer.status}`, errorsOf(answer));
    return answer.status < 400 ? { ...former, ...leaseOf(answer) } : undefined;
  }

  /** A token of the settings may run out too; one that may not even ask about itself is left alone. */
  async #lookUp({ token }: Lease, signal: AbortSignal): Promise<Partial<Lease>> {
    const answer = await this.#askAboutSelf(token, signal);
    if (answer?.status !== 200) return {};
    const { data } = (answer.body ?? {}) as { data?: { ttl?: unknown; renewable?: unknown } };
    return typeof data?.ttl === 'number' ? { lease: data.ttl, renewable: data.renewable === true } : {};
  }

  async #askAboutSelf(token: string, signal: AbortSignal): Promise<VaultAnswer | undefined> {
    const headers = { 'x-vault-token': token };
    const path = 'auth/token/lookup-self';
    return this.#parts.transport('GET', path, headers, undefined, signal).catch(() => undefined);
  }
}

async function signIn(
  { mount, role_id, secret }: VaultAuth & { by: 'approle' },
  { connection, transport }: TokenParts,
  signal: AbortSignal,
): Promise<{ token: string; lease?: number; renewable?: boolean }> {
  const secret_id = 'text' in secret ? secret.text : await readSecretOf(secret.file);
  const path = `auth/${mount.split('/').map(encodeURIComponent).join('/')}/login`;
  const answer = await transport('POST', path, {}, { role_id, secret_id }, signal).catch((error: unknown) => {
    throw connectionFailure(connection, error);
  });
  if (isSealed(answer)) throw sealed(connection);
  if (answer.status === 429 || answer.status >= 500 || !isOfVault(answer)) {
    throw unavailable(connection, `answers ${answer.status} to a sign-in by AppRole`, errorsOf(answer));
  }
  const token = tokenOf(answer);
  if (token !== undefined) return { token, ...leaseOf(answer) };
  const place = 'text' in secret ? 'approle.secret_id' : secret.file;
  throw new Failure(
    'configuration',
    `Vault at ${connection.address} does not accept the AppRole (${answer.status} from ${path}).`,
    {
      hint: `See whether approle.role_id and the secret id in ${place} are right and have not run out: \`bao write -f auth/${mount}/role/ROLE/secret-id\` makes another. A file is read again at the next try.`,
      detail: errorsOf(answer),
    },
  );
}

function tokenOf({ status, body }: VaultAnswer): string | undefined {
  const { auth } = (body ?? {}) as { auth?: { client_token?: unknown } };
  return status < 400 && typeof auth?.client_token === 'string' ? auth.client_token : undefined;
}

function leaseOf({ body }: VaultAnswer): { lease: number; renewable: boolean } {
  const { auth } = (body ?? {}) as { auth?: { lease_duration?: unknown; renewable?: unknown } };
  return { lease: Number(auth?.lease_duration ?? 0), renewable: auth?.renewable === true };
}

async function readSecretOf(file: string): Promise<string> {
  try {
    return await readSecret(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function readSecret(file: string): Promise<string> {
  const text = (await readFile(file, 'utf8')).trim();
  if (text === '') throw new Error('it is empty');
  return text;
}

function unreadable(file: string, error: unknown): Failure {
  const why = error instanceof Error && 'code' in error ? String(error.code) : 'it is empty';
  return new Failure(
    'configuration',
    `${file} cannot be read (${why}), which is to hold what Vault is asked with.`,
    {
      hint: 'See whether the file is there and belongs to the user of this server.',
      cause: error,
    },
  );
}
