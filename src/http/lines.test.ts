import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { jsonLines, type Lines } from './exchange.ts';
import { route, serve } from './serve.test-kit.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

/** The address of a server whose one route answers with these lines. */
async function listening(lines: Lines): Promise<string> {
  const { app } = serve([route({ handle: () => jsonLines(lines) })], { via: 'tcp' });
  closing.push(() => app.close());
  return `${await app.listen({ host: '127.0.0.1', port: 0 })}/x`;
}

describe('an answer in JSON lines', () => {
  it('sends each line when it is there, not when all are', async () => {
    const go = Promise.withResolvers<void>();
    const url = await listening(async function* () {
      yield { n: 1 };
      await go.promise;
      yield { n: 2 };
    });
    const answer = await fetch(url);
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe('{"n":1}\n');
    go.resolve();
    expect((await reader.read()).value).toBe('{"n":2}\n');
    expect((await reader.read()).done).toBe(true);
  });

  it('makes no more lines than the client takes, and hears that it has gone away', async () => {
    let made = 0;
    const gone = Promise.withResolvers<void>();
    const large = 'x'.repeat(100_000);
    const url = await listening(async function* (signal) {
      while (!signal.aborted) {
        made += 1;
        yield { large };
      }
      gone.resolve();
    });
    const leave = new AbortController();
    const answer = await fetch(url, { signal: leave.signal });
    await answer.body!.getReader().read();
    // The buffers between us fill up; then no line is made for as long as nobody reads.
    await vi.waitUntil(async () => (await sleep(100, made)) === made, { timeout: 5000 });
    const before = made;
    leave.abort();
    await gone.promise;
    expect(made).toBeLessThanOrEqual(before + 1);
  });
});
