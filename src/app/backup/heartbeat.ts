/** Tells somebody elsewhere that there is a verified backup; when nobody hears of one, they raise the alarm. */
import { Failure } from '../../kernel/errors.ts';
import type { Log } from '../../kernel/log.ts';

const PATIENCE = 10_000;

/** Never rejects: that the backup is there does not depend on who hears of it. @param url a secret, which is not logged */
export async function sendHeartbeat(url: string | undefined, log: Log): Promise<void> {
  if (url === undefined) return;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
    await answer.body?.cancel();
    if (!answer.ok) throw new Failure('unavailable', `It answered ${answer.status}.`);
  } catch (error) {
    log.error({ error: whyOf(error) }, 'the heartbeat of backups was not heard');
  }
}

/** What `fetch` itself says may hold the address. */
function whyOf(error: unknown): string {
  if (error instanceof Failure) return error.message;
  if (!(error instanceof Error)) return 'it could not be sent';
  return error.cause instanceof Error ? error.cause.message : error.name;
}
