/** Tells somebody elsewhere that there is a verified backup; when nobody hears of one, they raise the alarm. */
import { asFailure, Failure } from '../../kernel/errors.ts';
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
    const { message, detail } = asFailure(error);
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
    log.error({ error: cause ?? detail ?? message }, 'the heartbeat of backups was not heard');
  }
}
