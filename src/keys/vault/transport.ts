/** The way to Vault or OpenBao: sockets, and what it means when nothing sensible comes back. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import { Failure } from '../../kernel/errors.ts';

export interface VaultConnection {
  /** `https://vault.example.com:8200` */
  readonly address: string;
  readonly namespace: string | undefined;
  /** How long one call may take with all its retries, ms. */
  readonly timeout: number;
  readonly tls: VaultTls | undefined;
}

/** Certificates in PEM. */
export interface VaultTls {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export type VaultMethod = 'GET' | 'POST';

/** What came back, whoever said it. */
export interface VaultAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Sockets kept open; signatures beyond them wait their turn. */
const SOCKETS = 32;
/** Sends one request, once. Rejects with the error of the connection. */
export type Transport = (
  method: VaultMethod,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: object | undefined,
  signal: AbortSignal,
) => Promise<VaultAnswer>;

/** One way to the server, whose sockets are shared by whoever asks. */
export function makeTransport({ address, namespace, tls }: VaultConnection): Transport & Disposable {
  const secure = address.startsWith('https:');
  const options = { keepAlive: true, maxSockets: SOCKETS, maxFreeSockets: SOCKETS };
  const agent = secure
    ? new HttpsAgent({
        ...options,
        ...(tls?.ca && { ca: tls.ca }),
        ...(tls?.cert && { cert: tls.cert, key: tls.key }),
      })
    : new HttpAgent(options);
  const send = secure ? httpsRequest : httpRequest;
  const transport: Transport = async (method, path, headers, body, signal) => {
    const payload = body && JSON.stringify(body);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = send(
        new URL(`/v1/${path}`, address),
        {
          method,
          agent,
          signal,
          headers: {
            ...headers,
            'x-vault-request': 'true',
            ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
            ...(payload !== undefined && {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(payload),
            }),
          },
        },
        resolve,
      );
      sent.once('error', reject);
      sent.end(payload);
    });
    return { status: answer.statusCode ?? 0, body: parse(await readText(answer)) };
  };
  return Object.assign(transport, { [Symbol.dispose]: () => agent.destroy() });
}

/** Whoever asks gives up at the deadline; what they see is this. */
export function connectionFailure({ address, timeout }: VaultConnection, error: unknown): Failure {
  const code = codeOf(error);
  if (code === 'ABORT_ERR') {
    return unavailable({ address }, `does not answer within ${timeout / 1000} s`);
  }
  if (code.includes('CERT') || code.includes('TLS') || code.includes('SSL') || code.includes('SELF_SIGNED')) {
    return new Failure('configuration', `The certificate of Vault at ${address} is not trusted (${code}).`, {
      hint: 'Set tls.ca_file of the same settings to the certificate of the authority that signed it.',
      cause: error,
    });
  }
  return unavailable({ address }, `does not answer (${code})`);
}

export function unavailable(
  { address }: Pick<VaultConnection, 'address'>,
  what: string,
  detail?: string,
): Failure {
  return new Failure('unavailable', `Vault at ${address} ${what}.`, {
    hint: 'See whether it runs and can be reached from here: `bao status` (or `vault status`) with the same address.',
    ...(detail !== undefined && { detail }),
  });
}

/** Whether Vault can have said it: JSON, or nothing with 204. Redirects, pages and a proxy's 404 are of somebody on the way. */
export function isOfVault({ status, body }: VaultAnswer): boolean {
  if (status >= 300 && status < 400) return false;
  return status === 204 || (typeof body === 'object' && body !== null);
}

export function isSealed({ status, body }: VaultAnswer): boolean {
  return status === 503 && /sealed/i.test(errorsOf({ body }));
}

export function sealed({ address }: Pick<VaultConnection, 'address'>): Failure {
  return new Failure('unavailable', `Vault at ${address} is sealed.`, {
    hint: 'Unseal it: `bao operator unseal` (or `vault operator unseal`). Nothing else is needed here.',
  });
}

/** What Vault says of an error; it quotes no token. */
export function errorsOf({ body }: Pick<VaultAnswer, 'body'>): string {
  const { errors } = (body ?? {}) as { errors?: unknown };
  return Array.isArray(errors)
    ? errors.map(String).join('; ').replaceAll(/\s+/g, ' ').trim().slice(0, 500)
    : '';
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
