'use strict';
// Owns child processes that stand in for this one: same terminal, same signals, same exit.

const { spawn } = require('node:child_process');

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Runs a command to its end, handing on the signals that reach us; resolves to how it ended. */
function run(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, options);
    const forward = (signal) => child.kill(signal);
    const end = (result) => {
      for (const signal of FORWARDED) process.off(signal, forward);
      resolve(result);
    };
    for (const signal of FORWARDED) process.on(signal, forward);
    child.on('error', (error) => end({ code: 1, signal: null, error }));
    child.on('exit', (code, signal) => end({ code, signal }));
  });
}

/** Ends this process the way the child ended, by the same signal or the same exit code. */
function exitLike({ code, signal, error }) {
  if (error) console.error(error.message);
  if (signal) process.kill(process.pid, signal);
  else process.exit(code);
}

module.exports = { exitLike, run };
