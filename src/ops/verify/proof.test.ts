import { describe, expect, it } from 'vitest';
import { asFailure, Failure } from '../../kernel/errors.ts';
import { Findings } from './proof.ts';

const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });

describe('what goes wrong while a backup is tried', () => {
  it('is told of the backup', async () => {
    const findings = new Findings();
    const fail = async () => Promise.reject(new Failure('invalid_input', 'The rows do not fit.'));
    expect(await findings.attempt('It cannot be restored', fail)).toBeUndefined();
    expect(findings.found).toEqual(['It cannot be restored: The rows do not fit.']);
  });

  it.each([
    ['a disk that is full', full],
    ['one that somebody has wrapped', new Failure('configuration', 'No state here.', { cause: full })],
    ['no more open files', Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })],
    ['a database that does not answer', new Failure('unavailable', 'The database does not answer.')],
  ])('is not, where it says something about this machine alone: %s', async (_, error) => {
    const findings = new Findings();
    const tried = await findings
      .attempt('It cannot be restored', () => Promise.reject(error))
      .catch(asFailure);
    expect(tried).toMatchObject({ code: 'unavailable' });
    expect(findings.found).toEqual([]);
  });
});
