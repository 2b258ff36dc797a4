/** Whether a server on a restored backup serves: a canary uses it, and a token from before the backup still verifies. */
import { TrialBrowser } from '../trial/browser.ts';
import { checkOldToken, runCanary } from '../trial/canary.ts';
import { startTrial } from '../trial/server.ts';
import type { ProofBench } from './prove-bench.ts';
import type { Examined } from './prove-content.ts';

/** Starts a server on it, and adds what does not work to the findings. Answers when the canary was done, as `performance.now`. */
export async function tryServer(examined: Examined, bench: ProofBench): Promise<number> {
  const { store, config, archived, canSign } = examined;
  const { findings, scratch, clock, random, log, signal } = bench;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => store.close());
  bench.begin('starting a server on it');
  const { folder } = scratch;
  const server = await findings.attempt('No server can be started on it', () =>
    startTrial(config, store, { folder, canSign, clock, random, log, signal }),
  );
  if (!server) return performance.now();
  const { rooms, socket } = undo.use(server);
  const browser = () => new TrialBrowser(socket, rooms.issuer, signal);
  const { canary } = archived;
  if (canary === undefined) findings.note('The backup came without a token from before it.');
  else {
    bench.begin('verifying a token from before the backup');
    await findings.attempt('What was issued before the backup is not accepted', () =>
      checkOldToken(browser(), rooms.issuer, canary),
    );
  }
  bench.begin('letting a canary sign in');
  await findings.attempt('A client is not served as it should be', () => runCanary(rooms, browser()));
  return performance.now();
}
