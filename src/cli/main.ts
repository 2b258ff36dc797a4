/** The command line: one command of the table, and how the process ends. */
import { programVersion } from '../app/version.ts';
import { groups, loadCommands } from './commands.ts';
import { exitCodes } from './exit-codes.ts';
import { watchOutput } from './output-end.ts';
import { runCommandLine } from './run.ts';
import { stopSignals } from './stop-signal.ts';

// Whatever is made here is for its owner alone: database, keys, socket.
process.umask(0o077);
const lostOutput = watchOutput([process.stdout, process.stderr]);
const stop = stopSignals(process, () => process.exit(exitCodes.interrupted.code));
const code = await runCommandLine(
  loadCommands,
  groups,
  programVersion(),
  process.argv.slice(2),
  process,
  stop,
);
// A command that was cut off or failed may have left work behind that would keep the process alive.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))),
);
const lost = lostOutput();
if (code === exitCodes.done.code && lost) {
  process.stderr.write(`${lost.message} ${lost.hint}\n`);
  process.exit(exitCodes.failed.code);
}
process.exit(code);
