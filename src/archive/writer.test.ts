import { execFile } from 'node:child_process';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { archiveParts, collect, HEAD, makeSigner, PLAIN, partsOf, TABLES, TAIL } from './archive.test-kit.ts';
import type { RowPart } from './writer.ts';
import { type Progress, writeArchive } from './writer.ts';

const signer = makeSigner();

describe('the stream', () => {
  test('says what was written once it has ended', async () => {
    const steps: Progress[] = [];
    const archive = writeArchive(archiveParts(signer, { progress: (step) => steps.push(step) }));
    expect(() => archive.written()).toThrow(TypeError);
    await collect(archive);
    expect(archive.written()).toMatchObject({ rows: 4, manifest: { id: HEAD.id } });
    expect(steps.at(-1)).toEqual({ rows: 4, bytes: archive.written().bytes - 1024 });
    expect(steps.map(({ rows }) => rows)).toEqual([0, 2, 3, 4, 4, 4, 4, 4, 4]);
  });

  test('asks for what comes after the rows only when it has them all', async () => {
    let isRead = false;
    const parts = async function* () {
      yield* partsOf(TABLES);
      await turn();
      isRead = true;
    };
    const tail = () => {
      expect(isRead).toBe(true);
      return TAIL;
    };
    await collect(writeArchive(archiveParts(signer, { parts: parts(), tail })));
    expect.assertions(1);
  });

  test('reads no further than whoever takes it', async () => {
    let asked = 0;
    const line = Buffer.from(`${'x'.repeat(1023)}\n`);
    const parts = async function* (): AsyncGenerator<RowPart> {
      for (; asked < 1000; asked++) {
        // What does not shrink has to be taken away.
        const bytes = Buffer.concat(Array.from({ length: 256 }, () => scatter(line)));
        yield { kind: 'rows', table: 'users', rows: 256, bytes };
      }
    };
    const archive = writeArchive(archiveParts(signer, { parts: parts() }))[Symbol.asyncIterator]();
    await archive.next();
    for (let i = 0; i < 100; i++) await turn();
    expect(asked).toBeLessThan(10);
    await archive.return?.();
  });

  test('lets go of its source when whoever takes it leaves', async () => {
    let isReleased = false;
    const parts = async function* () {
      try {
        yield* partsOf(TABLES);
      } finally {
        isReleased = true;
      }
    };
    for await (const _ of writeArchive(archiveParts(signer, { parts: parts() }))) break;
    await turn();
    expect(isReleased).toBe(true);
  });

  test('throws what its source throws', async () => {
    const parts = async function* () {
      yield* [...partsOf(TABLES)].slice(0, 2);
      throw new Error('the database went away');
    };
    const archive = writeArchive(archiveParts(signer, { parts: parts() }));
    await expect(collect(archive)).rejects.toThrow('the database went away');
  });
});

describe('stopping it', () => {
  test.for([
    ['before it begins', () => AbortSignal.abort()],
    ['while the source does not answer', () => AbortSignal.timeout(20)],
  ] as const)('%s', async ([, makeSignal]) => {
    const never = async function* (): AsyncGenerator<RowPart> {
      await new Promise(() => undefined);
    };
    const archive = writeArchive(archiveParts(signer, { parts: never(), signal: makeSignal() }));
    await expect(collect(archive)).rejects.toMatchObject({
      code: 'interrupted',
      message: 'The backup was stopped.',
    });
  });

  test('a signal that never comes changes nothing', async () => {
    const { signal } = new AbortController();
    const archive = writeArchive(archiveParts(signer, { signal }));
    expect((await collect(archive)).length).toBeGreaterThan(0);
    expect(archive.written().rows).toBe(4);
  });
});

test('300 MB of rows pass through a small heap, and hardly hold the event loop', async () => {
  const program = new URL('writer.memory.test-kit.ts', import.meta.url).pathname;
  const small = ['--max-old-space-size=48', '--expose-gc'];
  const { stdout } = await promisify(execFile)(process.execPath, [...small, program]);
  const { megabytes, grownMegabytes, longestTurnMs } = JSON.parse(stdout);
  expect(megabytes).toBeGreaterThan(300);
  expect(grownMegabytes).toBeGreaterThan(0);
  expect(grownMegabytes).toBeLessThan(40);
  // The looks at what is held, a whole collection each, are in it.
  expect(longestTurnMs).toBeLessThan(120);
});

test('the kind of encryption is in the manifest, the passphrase is not', async () => {
  const passphrase = 'correct horse';
  const sealed = writeArchive(
    archiveParts(signer, { encryption: { kind: 'passphrase', passphrase, work: 4 } }),
  );
  await collect(sealed);
  expect(sealed.written().manifest.encryption).toEqual({ kind: 'passphrase', recipients: [] });
  const open = writeArchive(archiveParts(signer, { encryption: PLAIN }));
  await collect(open);
  expect(open.written().manifest.encryption).toEqual({ kind: 'none', recipients: [] });
});

/** A line of the same length that zstd cannot shorten much. */
function scatter(line: Buffer): Buffer {
  return Buffer.from(line.map((byte) => (byte === 0x0a ? byte : 32 + Math.floor(Math.random() * 94))));
}
