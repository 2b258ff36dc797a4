import { setTimeout as sleep } from 'node:timers/promises';
import { type Incoming, json, jsonLines } from '../http/exchange.ts';
import { asFailure } from '../kernel/errors.ts';
import type { Watch } from '../kernel/watch.ts';
import type { AdminRoute, Caller } from './admin-route.ts';

/** A verb that takes its time: what it is told, and how it is done. */
export interface LongVerb<Input, Progress, Report> {
  /** Such as `/admin/purge`. */
  readonly path: string;
  /** The input in a body; throws `invalid_input`. */
  read(request: Incoming): Input;
  run(input: Input, watch: Watch<Progress>, caller: Caller): Promise<Report>;
}

/** How often a caller hears of progress, ms. */
const NEWS_EVERY = 250;

/**
 * POST to the path does the verb and answers in JSON lines: `{"progress": ...}` as it goes on, then `{"report": ...}` or
 * `{"failure": {"code", "detail", "hint"}}`. It stops, after the step in hand, when the caller goes away, when the server
 * stops, and on POST to `<path>/stop`.
 */
export function longVerb<Input, Progress, Report>(
  verb: LongVerb<Input, Progress, Report>,
  stopping: AbortSignal,
): AdminRoute[] {
  const running = new Set<AbortController>();
  return [
    {
      method: 'POST',
      path: verb.path,
      body: 'json',
      async handle(request, caller) {
        const input = verb.read(request);
        return jsonLines((gone) => {
          const own = new AbortController();
          running.add(own);
          const signal = AbortSignal.any([own.signal, gone, stopping]);
          return tell<Progress, Report>((progress) =>
            verb.run(input, { progress, signal }, caller).finally(() => running.delete(own)),
          );
        });
      },
    },
    {
      method: 'POST',
      path: `${verb.path}/stop`,
      body: 'none',
      async handle() {
        const stopped = running.size;
        for (const each of running) each.abort();
        return json(200, { stopped });
      },
    },
  ];
}

/** Runs, and tells the latest progress now and then, however often there is some. */
async function* tell<Progress, Report>(
  run: (progress: (now: Progress) => void) => Promise<Report>,
): AsyncGenerator<object> {
  let latest: { readonly progress: Progress } | undefined;
  const keep = (progress: Progress) => {
    latest = { progress };
  };
  const done = run(keep).then(
    (report) => ({ report }),
    (error: unknown) => ({ failure: problemOf(error) }),
  );
  for (;;) {
    const end = await Promise.race([done, sleep(NEWS_EVERY)]);
    if (end !== undefined) {
      yield end;
      return;
    }
    if (latest !== undefined) yield latest;
    latest = undefined;
  }
}

function problemOf(error: unknown): object {
  const { code, message, hint } = asFailure(error);
  return { code, detail: message, hint };
}
