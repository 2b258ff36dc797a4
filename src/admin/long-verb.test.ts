import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Incoming, Outgoing } from '../http/exchange.ts';
import { Failure } from '../kernel/errors.ts';
import type { Watch } from '../kernel/watch.ts';
import { longVerb } from './long-verb.ts';

const caller = { actor: 'admin:operator', ip: null } as const;
const here = new AbortController().signal;

/** A verb, and its two routes as a caller meets them. */
function routesOf(run: (watch: Watch<number>) => Promise<unknown>, stopping = here) {
  const [start, stop] = longVerb(
    { path: '/admin/count', read: ({ json }) => json, run: (_, watch: Watch<number>) => run(watch) },
    stopping,
  );
  const request = { json: {} } as Incoming;
  return {
    start: () => start!.handle(request, caller),
    stop: () => stop!.handle(request, caller),
  };
}

async function linesOf({ lines }: Outgoing, gone = here): Promise<object[]> {
  const all: object[] = [];
  for await (const line of lines!(gone)) all.push(line);
  return all;
}

/** Works until it is told to stop. */
async function untilStopped({ signal }: Watch<number>): Promise<object> {
  if (!signal.aborted) await once(signal, 'abort');
  return { stopped: true };
}

describe('a verb that takes its time', () => {
  it('tells the latest progress now and then, and its report last', async () => {
    const { start } = routesOf(async ({ progress }) => {
      for (let n = 1; n <= 10_000; n++) progress(n);
      await sleep(400);
      return { counted: 10_000 };
    });
    expect(await linesOf(await start())).toEqual([{ progress: 10_000 }, { report: { counted: 10_000 } }]);
  });

  it('ends with the failure, as a command shows it', async () => {
    const { start } = routesOf(async () => {
      throw new Failure('refused', 'No.', { hint: 'Ask again.', detail: 'for the log' });
    });
    const failure = { code: 'refused', detail: 'No.', hint: 'Ask again.' };
    expect(await linesOf(await start())).toEqual([{ failure }]);
  });

  it('stops when it is asked to, and reports all the same', async () => {
    const { start, stop } = routesOf(untilStopped);
    const lines = linesOf(await start());
    await sleep(10);
    expect(await stop()).toMatchObject({ body: '{"stopped":1}' });
    expect(await lines).toEqual([{ report: { stopped: true } }]);
    expect(await stop()).toMatchObject({ body: '{"stopped":0}' });
  });

  it.each(['the caller goes away', 'the server stops'])('stops when %s', async (why) => {
    const end = new AbortController();
    const isCaller = why === 'the caller goes away';
    const { start } = routesOf(untilStopped, isCaller ? here : end.signal);
    const lines = linesOf(await start(), isCaller ? end.signal : here);
    end.abort();
    expect(await lines).toEqual([{ report: { stopped: true } }]);
  });
});
