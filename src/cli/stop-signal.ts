/** Ctrl-C reaches a process more than once when a launcher between it and the terminal passes it on. */
const SAME_KEYSTROKE = 500;

export interface StopSignals {
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly asked: AbortSignal;
  /** Aborted by SIGHUP: the terminal has gone. */
  readonly hungUp: AbortSignal;
}

/** @param insist called by the next SIGINT or SIGTERM after the first; a terminal that has gone insists on nothing */
export function stopSignals(source: NodeJS.EventEmitter, insist: () => void): StopSignals {
  const hangup = new AbortController();
  const controller = new AbortController();
  let since = 0;
  const receive = () => {
    if (!controller.signal.aborted) {
      since = Date.now();
      controller.abort();
    } else if (Date.now() - since > SAME_KEYSTROKE) insist();
  };
  source.on('SIGINT', receive);
  source.on('SIGTERM', receive);
  source.on('SIGHUP', () => hangup.abort());
  return { asked: controller.signal, hungUp: hangup.signal };
}
