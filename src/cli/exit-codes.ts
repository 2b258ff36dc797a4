import type { FailureCode } from '../kernel/errors.ts';

/** Every exit code, for scripts; `docs/exit-codes.md` holds the same table. */
export const exitCodes = {
  done: { code: 0, meaning: 'Done.' },
  failed: { code: 1, meaning: 'It failed, and trying the same again will not help.' },
  usage: { code: 2, meaning: 'The command line, an input or the configuration is wrong; nothing was done.' },
  refused: { code: 3, meaning: 'A guard refused a step that is dangerous or not allowed; nothing was done.' },
  interrupted: { code: 4, meaning: 'A signal stopped it.' },
  unavailable: { code: 5, meaning: 'Something it needs does not answer; trying again may work.' },
  notFound: { code: 6, meaning: 'What the command is about does not exist.' },
  conflict: { code: 7, meaning: 'It exists already, or somebody else changed it meanwhile.' },
} as const;

const byFailure: Readonly<Record<FailureCode, keyof typeof exitCodes>> = {
  invalid_input: 'usage',
  configuration: 'usage',
  refused: 'refused',
  unauthenticated: 'refused',
  forbidden: 'refused',
  interrupted: 'interrupted',
  unavailable: 'unavailable',
  rate_limited: 'unavailable',
  not_found: 'notFound',
  conflict: 'conflict',
  failed: 'failed',
  internal: 'failed',
};

export function exitCodeOf(failure: FailureCode): number {
  return exitCodes[byFailure[failure]].code;
}
