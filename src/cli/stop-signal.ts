/** Ctrl-C reaches a process more than once when a launcher between it and the terminal passes it on. */
const SAME_KEYSTROKE = 500;

/** Aborted by the first SIGINT or SIGTERM; `insist` is called by the next one. */
export function stopSignal(source: NodeJS.EventEmitter, insist: () => void): AbortSignal {
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
  return controller.signal;
}
