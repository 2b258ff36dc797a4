import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeProver } from '../../src/app/backup/prover.ts';
import { makeIdentity, recipientOf } from '../../src/archive/age-keys.ts';
import { CannotRead } from '../../src/archive/format.ts';
import { asFailure, Failure } from '../../src/kernel/errors.ts';
import { silentLog } from '../../src/kernel/log.ts';
import { systemRandom } from '../../src/kernel/random.ts';
import type { ProofSubject } from '../../src/ops/backup/desk.ts';
import { describeEngines, inTurn } from '../setup/engines.ts';
import { Source } from './proof-kit.ts';

describeEngines('the thread that tries backups', (engine) => {
  const story = inTurn(engine);
  let source: Source;
  let good: Buffer;
  beforeAll(async () => {
    source = await Source.make(engine);
    good = await source.archive();
  });
  afterAll(() => source?.[Symbol.asyncDispose]());

  const never = new AbortController().signal;
  const prove = (subject: ProofSubject, signal = never, progress: (step: string) => void = () => undefined) =>
    makeProver(source.config, silentLog)(subject, { signal, progress });

  it('passes a good backup, tells its steps, and leaves nothing behind', async () => {
    const steps: string[] = [];
    const proof = await prove(source.subject(good), never, (step) => steps.push(step));
    expect(proof).toMatchObject({ passed: true, findings: [], notes: [] });
    expect(proof.rto_ms).toBeGreaterThan(0);
    expect(steps[0]).toBe('restoring into a scratch database');
    expect(steps.at(-1)).toBe('letting a canary sign in');
    expect(await source.leftovers()).toEqual([]);
  });

  story('finds a byte that was changed', async () => {
    const bad = Buffer.from(good);
    bad[bad.length >> 1] = (bad[bad.length >> 1] ?? 0) ^ 1;
    const proof = await prove(source.subject(bad));
    expect(proof.passed).toBe(false);
    expect(proof.findings.join()).toMatch(/cannot be restored/);
  });

  story(
    'goes as far behind the thread that serves as the settings say; the priority of that one stays',
    async () => {
      const before = getPriority();
      for (const nice of [0, 1]) {
        const priorities: number[] = [];
        const config = { ...source.config, backup: { ...source.config.backup, nice } };
        const progress = () => void priorities.push(...prioritiesOf(process.pid));
        await makeProver(config, silentLog)(source.subject(good), { signal: never, progress });
        expect(Math.max(...priorities)).toBe(before + nice);
      }
      expect(getPriority()).toBe(before);
    },
  );

  story('says of an archive that nothing opens that nothing opens it', async () => {
    const [key, other] = [makeIdentity(systemRandom), makeIdentity(systemRandom)];
    const archive = await source.archive({}, { kind: 'age', recipients: [recipientOf(key)] });
    const identities = { identities: [other] };
    await expect(prove(source.subject(archive, { identities }))).rejects.toBeInstanceOf(CannotRead);
    const opened = await prove(source.subject(archive, { identities: { identities: [other, key] } }));
    expect(opened.findings).toEqual([]);
  });

  story('does not take a target that breaks off, or a disk that fails, for a bad backup', async () => {
    const away = new Failure('unavailable', 'The target does not answer.', { retryAfter: 5 });
    const failed = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
    for (const [error, message] of [
      [away, /does not answer/],
      [failed, /cannot try a backup now \(EIO\)/],
    ] as const) {
      const broken = source.subject(good, { archive: breaksAfter(good, error) });
      const failure = await prove(broken).catch(asFailure);
      expect(failure).toMatchObject({ code: 'unavailable', message: expect.stringMatching(message) });
    }
  });

  it('is stopped at any step, and leaves nothing behind', async () => {
    for (const last of [0, 1, 5]) {
      const stop = new AbortController();
      let steps = 0;
      if (last === 0) stop.abort();
      const progress = () => {
        steps += 1;
        if (steps === last) stop.abort();
      };
      const stopped = await prove(source.subject(good), stop.signal, progress).catch(asFailure);
      expect(stopped, `step ${last}`).toMatchObject({ code: 'interrupted' });
      expect(await source.leftovers(), `step ${last}`).toEqual([]);
    }
  });
});

async function* breaksAfter(archive: Buffer, error: Error): AsyncGenerator<Buffer> {
  yield archive.subarray(0, archive.length >> 1);
  throw error;
}

/** Of all threads of a process: proc(5), `nice` is the nineteenth field. */
function prioritiesOf(pid: number): readonly number[] {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).map((thread) => {
    const [, fields = ''] = readFileSync(`${folder}/${thread}/stat`, 'utf8').split(') ');
    return Number(fields.split(' ')[16]);
  });
}
