import { execFile } from 'node:child_process';
import { Failure } from '../../kernel/errors.ts';

/**
 * What a program prints, run without a shell.
 * @param patience ms, after which it is ended
 * Failures: `configuration` when it cannot be run or fails, with the end of what it wrote to standard error; `unavailable`
 * when it takes too long
 */
export function outputOf(argv: readonly string[], source: string, patience: number): Promise<string> {
  const [program = '', ...rest] = argv;
  return new Promise((resolve, reject) => {
    const options = { timeout: patience, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 } as const;
    const child = execFile(program, rest, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(failureOf(error, source, program, patience, stderr));
    });
    child.stdin?.end();
  });
}

function failureOf(
  error: Error & { killed?: boolean; code?: unknown },
  source: string,
  program: string,
  patience: number,
  stderr: string,
): Failure {
  const said = stderr.trim().split('\n').slice(-3).join(' ').slice(0, 500);
  const detail = said === '' ? '' : ` It said: ${said}`;
  if (error.killed === true) {
    return new Failure(
      'unavailable',
      `${source}: ${program} did not end within ${patience / 1000} s.${detail}`,
      {
        hint: 'Raise data_encryption.key_command_timeout, or see what it waits for.',
      },
    );
  }
  const why = error.code === 'ENOENT' ? 'does not exist' : `failed (${String(error.code)})`;
  // The error itself quotes the command line, which may hold what is nobody's business.
  return new Failure('configuration', `${source}: ${program} ${why}.${detail}`, {
    hint: 'Run it by hand as the user of this server. It must print the master key and nothing else.',
  });
}
