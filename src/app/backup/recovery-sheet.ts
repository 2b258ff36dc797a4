/**
 * The recovery sheet: what an operator keeps outside of the server. It is an age identity file (plain `age --identity`
 * takes it as it is) whose comments say whose backups it opens and whose signature on them counts.
 */
import { readFile } from 'node:fs/promises';
import { recipientOf } from '../../archive/age-keys.ts';
import { SIGNER_KEY, type Trust } from '../../archive/signature.ts';
import { Failure } from '../../kernel/errors.ts';

export interface RecoverySheet {
  /** `AGE-SECRET-KEY-1...`; empty on a sheet that only says whom to trust. */
  readonly identities: readonly string[];
  readonly signers: Trust;
  readonly deploymentId: string | undefined;
}

/** The recovery sheet in a file. Failures: `invalid_input`; what stands in the file is not repeated. */
export async function readSheetIn(file: string): Promise<RecoverySheet> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new Failure('invalid_input', `Cannot read the recovery sheet ${file} (${code}).`, {
      hint: 'See whether the file is there and this user may read it.',
      cause,
    });
  });
  return readRecoverySheet(text);
}

const LONGEST = 64 * 1024;
const COMMENT = /^#\s*(deployment|signer):\s*(\S+)\s*$/;

/**
 * Reads a sheet, a plain age identity file, or nothing but the key. Post-quantum identities (`AGE-SECRET-KEY-PQ-1...`) pass.
 * Failures: `invalid_input` naming the line; what stands there is not repeated.
 */
export function readRecoverySheet(text: string): RecoverySheet {
  if (text.length > LONGEST) throw wrong('it is far too long');
  const identities: string[] = [];
  const signers: string[] = [];
  let deploymentId: string | undefined;
  for (const [at, raw] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    const line = raw.trim();
    const [, name, value = ''] = COMMENT.exec(line) ?? [];
    if (name === 'deployment') {
      if (deploymentId !== undefined && deploymentId !== value) throw wrong('it names two deployments');
      deploymentId = value;
    } else if (name === 'signer') {
      if (!SIGNER_KEY.test(value)) throw wrong(`line ${at + 1} holds no public signing key`);
      signers.push(value);
    } else if (line !== '' && !line.startsWith('#')) identities.push(identityIn(line, at + 1));
  }
  if (identities.length === 0 && signers.length === 0) throw wrong('it holds neither a key nor a signer');
  return { identities: [...new Set(identities)], signers: [...new Set(signers)], deploymentId };
}

function identityIn(line: string, number: number): string {
  if (/^AGE-SECRET-KEY-PQ-1[A-Z0-9]+$/.test(line)) return line;
  try {
    recipientOf(line);
    return line.toUpperCase();
  } catch (cause) {
    throw wrong(`line ${number} is neither a comment nor a recovery key (a typing error?)`, cause);
  }
}

function wrong(why: string, cause?: unknown): Failure {
  return new Failure('invalid_input', `That is no recovery sheet: ${why}.`, {
    hint: 'It has a line AGE-SECRET-KEY-1..., and above it lines such as "# signer: ..."; `authserver backup key show --sheet` prints all but the secret.',
    cause,
  });
}

/** The text of a sheet. Without `identity` it is the public part, to be put below the sheet that is kept. */
export function writeRecoverySheet({
  deploymentId,
  signers,
  recipient,
  identity,
  madeAt,
}: {
  readonly deploymentId: string;
  readonly signers: Trust;
  readonly recipient?: string;
  readonly identity?: string;
  /** ms */
  readonly madeAt: number;
}): string {
  return [
    identity === undefined
      ? '# Public part of the recovery sheet of an authserver: whose signatures on backups count.'
      : '# Recovery sheet of an authserver. Keep it away from the server, in two places: without it no backup can be opened.',
    `# deployment: ${deploymentId}`,
    ...signers.map((signer) => `# signer: ${signer}`),
    `# made: ${new Date(madeAt).toISOString()}`,
    ...(recipient === undefined ? [] : [`# public key: ${recipient}`]),
    ...(identity === undefined ? [] : [identity]),
    '',
  ].join('\n');
}
