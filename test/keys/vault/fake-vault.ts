// Owns a stand-in for Vault that enforces what its documentation says of the transit engine, of tokens and of AppRole: paths,
// leases, key types, marshaling, minimum versions, namespaces, the sealed state. It can be made to fail. real-vault.test.ts holds
// the same tests to a real server, where there is one.

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  sign as cryptoSign,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
  randomBytes,
} from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TlsOptions } from 'node:tls';

interface Answer {
  readonly status: number;
  readonly body?: object;
  /** What somebody on the way says, who is not Vault. */
  readonly text?: string;
}

interface Token {
  readonly policies: readonly string[];
  /** ms since the epoch; Infinity for ever. */
  ends: number;
  readonly renewable: boolean;
  /** What no renewal goes beyond, ms since the epoch. */
  readonly longest: number;
  readonly ttl: number;
}

interface Transit {
  readonly type: string;
  readonly versions: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }[];
  readonly secrets: Buffer[];
  minDecryption: number;
  minEncryption: number;
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly token: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

const CURVES: Readonly<Record<string, () => { privateKey: KeyObject; publicKey: KeyObject }>> = {
  'ecdsa-p256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ed25519: () => generateKeyPairSync('ed25519'),
  'rsa-2048': () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
};

export class FakeVault {
  readonly requests: Request[] = [];
  readonly keys = new Map<string, Transit>();
  readonly tokens = new Map<string, Token>();
  /** Secret ids that are accepted for the role `role-1`. */
  readonly secretIds = new Set(['secret-1']);
  /** Lease of tokens made by AppRole, seconds; renewed up to `longestLease`. */
  lease = 3600;
  longestLease = 36_000;
  rolePolicies: readonly string[] = ['signer'];
  namespace: string | undefined;
  sealed = false;
  /** What the next requests are answered instead, the first one first; `drop` cuts the connection. */
  readonly trouble: (number | 'drop' | Answer)[] = [];
  /** ms before each answer */
  delay = 0;
  /** Requests that are being answered, and the most there ever were at once. */
  busy = 0;
  mostBusy = 0;
  /** Replaces a signature, to see it refused. */
  forge: ((signature: string) => string) | undefined;
  readonly #server: Server;

  readonly #scheme: 'http' | 'https';

  private constructor(tls: TlsOptions | undefined) {
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#serve(request).then((found) => {
        if (found === undefined) return response.destroy();
        response.writeHead(found.status, { 'content-type': 'application/json' });
        response.end(found.text ?? (found.body && JSON.stringify(found.body)));
      });
    };
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
    this.addToken('root', { policies: ['root'] });
  }

  static async start(tls?: TlsOptions): Promise<FakeVault> {
    const vault = new FakeVault(tls);
    vault.#server.listen(0, '127.0.0.1');
    await once(vault.#server, 'listening');
    return vault;
  }

  get address(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** @param ttl seconds; 0 for ever */
  addToken(
    id: string,
    options: {
      readonly policies?: readonly string[];
      readonly ttl?: number;
      readonly longest?: number;
    } = {},
  ): void {
    const { policies = ['signer'], ttl = 0, longest = ttl } = options;
    const renewable = ttl > 0;
    const now = Date.now();
    const until = (seconds: number) => (ttl === 0 ? Number.POSITIVE_INFINITY : now + seconds * 1000);
    this.tokens.set(id, { policies, ttl, renewable, ends: until(ttl), longest: until(longest) });
  }

  makeKey(name: string, type: string): void {
    this.keys.set(name, { type, versions: [], secrets: [], minDecryption: 1, minEncryption: 0 });
    this.rotate(name);
  }

  /** As an operator would, behind our back. */
  rotate(name: string): void {
    const key = this.keys.get(name);
    const make = CURVES[key?.type ?? ''];
    if (make) key?.versions.push(make());
    else key?.secrets.push(randomBytes(32));
  }

  count(path: RegExp): number {
    return this.requests.filter((request) => path.test(request.path)).length;
  }

  async #serve(request: IncomingMessage): Promise<Answer | undefined> {
    this.busy += 1;
    this.mostBusy = Math.max(this.mostBusy, this.busy);
    try {
      const hasBody = Number(request.headers['content-length'] ?? 0) > 0;
      const body = hasBody ? ((await readJson(request)) as Record<string, unknown>) : {};
      const path = (request.url ?? '').replace(/^\/v1\//, '');
      const token = request.headers['x-vault-token'] as string | undefined;
      this.requests.push({ method: request.method ?? '', path, token, body });
      await sleep(this.delay);
      const trouble = this.trouble.shift();
      if (trouble === 'drop') return undefined;
      if (typeof trouble === 'number') return errors(trouble, 'trouble');
      if (trouble !== undefined) return trouble;
      if (this.sealed) return errors(503, 'Vault is sealed');
      if (this.namespace !== request.headers['x-vault-namespace'])
        return { status: 404, body: { errors: [] } };
      return this.#route(request.method ?? '', path, token, body);
    } finally {
      this.busy -= 1;
    }
  }

  #route(method: string, path: string, token: string | undefined, body: Record<string, unknown>): Answer {
    if (method === 'POST' && path === 'auth/approle/login') return this.#login(body);
    const bearer = this.tokens.get(token ?? '');
    if (bearer === undefined || bearer.ends <= Date.now()) return errors(403, 'permission denied');
    if (path === 'auth/token/lookup-self' && method === 'GET') {
      const ttl = Number.isFinite(bearer.ends) ? Math.round((bearer.ends - Date.now()) / 1000) : 0;
      return { status: 200, body: { data: { ttl, renewable: bearer.renewable } } };
    }
    if (path === 'auth/token/renew-self' && method === 'POST') return this.#renew(token ?? '', bearer);
    const [mount, verb = '', name = '', ...rest] = path.split('/');
    if (mount !== 'transit') return errors(404, `no handler for route "${path}". route entry not found.`);
    if (!this.#allows(bearer, verb, name, rest))
      return errors(403, '1 error occurred:\n\t* permission denied\n\n');
    if (verb === 'keys') return this.#keys(method, name, rest[0], body);
    if (method !== 'POST') return errors(405, 'unsupported operation');
    if (verb === 'sign') return this.#sign(name, rest[0], body);
    if (verb === 'encrypt' && bearer.policies.includes('root') && !this.keys.has(name)) {
      this.makeKey(name, 'aes256-gcm96');
    }
    if (verb === 'encrypt' || verb === 'decrypt') return this.#crypt(verb, name, body);
    return { status: 404, body: { errors: [] } };
  }

  #allows({ policies }: Token, verb: string, name: string, rest: readonly string[]): boolean {
    if (policies.includes('root') || policies.includes('signer')) return true;
    // `reader`: may look at the one key, and sign with nothing.
    return (
      policies.includes('reader') && verb === 'keys' && rest.length === 0 && name === 'authserver-signing'
    );
  }

  #login({ role_id, secret_id }: Record<string, unknown>): Answer {
    if (role_id !== 'role-1' || !this.secretIds.has(String(secret_id))) {
      return errors(400, 'invalid role or secret ID');
    }
    const id = `hvs.${randomBytes(12).toString('hex')}`;
    this.addToken(id, { policies: this.rolePolicies, ttl: this.lease, longest: this.longestLease });
    const auth = {
      client_token: id,
      lease_duration: this.lease,
      renewable: true,
      policies: this.rolePolicies,
    };
    return { status: 200, body: { auth } };
  }

  #renew(id: string, token: Token): Answer {
    if (!token.renewable) return errors(400, 'lease is not renewable');
    token.ends = Math.min(Date.now() + token.ttl * 1000, token.longest);
    const lease_duration = Math.max(0, Math.round((token.ends - Date.now()) / 1000));
    return { status: 200, body: { auth: { client_token: id, lease_duration, renewable: true } } };
  }

  #keys(method: string, name: string, action: string | undefined, body: Record<string, unknown>): Answer {
    const key = this.keys.get(name);
    if (method === 'GET' && action === undefined) {
      return key === undefined
        ? { status: 404, body: { errors: [] } }
        : { status: 200, body: { data: show(key) } };
    }
    if (method !== 'POST') return errors(405, 'unsupported operation');
    if (action === undefined) {
      if (key === undefined) this.makeKey(name, String(body['type'] ?? 'aes256-gcm96'));
      return { status: 204 };
    }
    if (key === undefined) return errors(400, `no existing key named ${name} could be found`);
    if (action === 'rotate') {
      this.rotate(name);
      return { status: 204 };
    }
    if (action !== 'config') return { status: 404, body: { errors: [] } };
    const minimum = Number(body['min_encryption_version'] ?? key.minEncryption);
    if (minimum > count(key))
      return errors(400, 'cannot set min encryption version higher than latest version');
    key.minEncryption = minimum;
    return { status: 200, body: { data: show(key) } };
  }

  #sign(name: string, hashName: string | undefined, body: Record<string, unknown>): Answer {
    const key = this.keys.get(name);
    if (key === undefined) return errors(400, 'signing key not found');
    if (hashName !== undefined && hashName !== 'sha2-256')
      return errors(400, `invalid hash algorithm "${hashName}"`);
    const version = Number(body['key_version'] ?? 0) || count(key);
    if (version > count(key))
      return errors(500, 'requested version for signing is higher than the latest key version');
    if (version < key.minEncryption) {
      return errors(500, 'requested version for signing is less than the minimum encryption key version');
    }
    const pair = key.versions[version - 1];
    if (pair === undefined) return errors(400, `key type ${key.type} does not support signing`);
    const input = Buffer.from(String(body['input'] ?? ''), 'base64');
    const made = makeSignature(key.type, pair.privateKey, input, body);
    if (typeof made !== 'string') return made;
    const signature = `vault:v${version}:${made}`;
    return {
      status: 200,
      body: { data: { signature: this.forge?.(signature) ?? signature, key_version: version } },
    };
  }

  #crypt(verb: 'encrypt' | 'decrypt', name: string, body: Record<string, unknown>): Answer {
    const key = this.keys.get(name);
    if (key === undefined) return errors(400, 'encryption key not found');
    if (verb === 'encrypt') {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key.secrets.at(-1) as Buffer, nonce);
      const sealed = Buffer.concat([
        nonce,
        cipher.update(Buffer.from(String(body['plaintext']), 'base64')),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      const ciphertext = `vault:v${key.secrets.length}:${sealed.toString('base64')}`;
      return { status: 200, body: { data: { ciphertext } } };
    }
    const [, version = '', text = ''] = String(body['ciphertext']).split(':');
    const secret = key.secrets[Number(version.slice(1)) - 1];
    const sealed = Buffer.from(text, 'base64');
    try {
      const decipher = createDecipheriv('aes-256-gcm', secret as Buffer, sealed.subarray(0, 12));
      decipher.setAuthTag(sealed.subarray(-16));
      const plain = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
      return { status: 200, body: { data: { plaintext: plain.toString('base64') } } };
    } catch {
      return errors(400, 'cipher: message authentication failed');
    }
  }
}

function makeSignature(
  type: string,
  key: KeyObject,
  input: Buffer,
  { prehashed, marshaling_algorithm, signature_algorithm }: Record<string, unknown>,
): string | Answer {
  if (type === 'ed25519') {
    if (prehashed === true) return errors(400, 'only Pure Ed25519 signatures supported');
    return cryptoSign(null, input, key).toString('base64');
  }
  if (prehashed !== true) return errors(500, 'this stand-in wants a hash');
  if (input.length !== 32) return errors(500, 'the hash is not one of SHA-256');
  if (type === 'ecdsa-p256') {
    if (marshaling_algorithm !== 'jws') return errors(400, 'this stand-in marshals as jws only');
    return signDigest(key, input).toString('base64url');
  }
  if (signature_algorithm !== 'pkcs1v15') return errors(400, 'this stand-in knows pkcs1v15');
  // RFC 8017 section 9.2: the DigestInfo of SHA-256 and the hash, padded and signed.
  const digestInfo = Buffer.concat([Buffer.from('3031300d060960864801650304020105000420', 'hex'), input]);
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, digestInfo).toString('base64');
}

/** The order of P-256 (FIPS 186-5). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** ECDSA over a hash, r||s. node:crypto hashes what it signs, so the arithmetic is done here; k times G is a key exchange's. */
function signDigest(key: KeyObject, digest: Buffer): Buffer {
  const d = integer(Buffer.from(key.export({ format: 'jwk' }).d as string, 'base64url'));
  const exchange = createECDH('prime256v1');
  const point = exchange.generateKeys();
  const r = integer(point.subarray(1, 33)) % ORDER;
  const k = integer(exchange.getPrivateKey());
  const s = (inverse(k) * (integer(digest) + r * d)) % ORDER;
  return Buffer.concat([r, s].map((each) => Buffer.from(each.toString(16).padStart(64, '0'), 'hex')));
}

function integer(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

/** By Fermat: k to the power of the order less two. */
function inverse(k: bigint): bigint {
  let [result, base, exponent] = [1n, k % ORDER, ORDER - 2n];
  for (; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % ORDER;
    base = (base * base) % ORDER;
  }
  return result;
}

function show(key: Transit): object {
  const keys = key.versions.map(({ publicKey }, index) => [
    String(index + 1),
    { public_key: publicText(key, publicKey) },
  ]);
  return {
    type: key.type,
    keys: Object.fromEntries(keys),
    latest_version: count(key),
    min_decryption_version: key.minDecryption,
    min_encryption_version: key.minEncryption,
  };
}

function publicText({ type }: Transit, key: KeyObject): string {
  if (type !== 'ed25519') return key.export({ type: 'spki', format: 'pem' }).toString();
  return Buffer.from(key.export({ format: 'jwk' }).x as string, 'base64url').toString('base64');
}

function count({ versions, secrets }: Transit): number {
  return Math.max(versions.length, secrets.length);
}

function errors(status: number, ...messages: readonly string[]): Answer {
  return { status, body: { errors: messages } };
}
