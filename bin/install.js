'use strict';
// Owns the question "are the locked dependencies installed?" and the one command that answers it. Plain CommonJS without
// dependencies, because it runs before there are any, on whatever Node the machine has. Knows nothing of the server.

const { readFileSync } = require('node:fs');
const path = require('node:path');
const { exitLike, run } = require('./run.js');

const root = path.dirname(__dirname);

/** Makes sure that what running needs is installed from the lock file; `dev` adds what testing needs. */
async function ensureInstalled({ dev }) {
  if (isInstalled({ dev })) return;
  const args = ['ci', dev ? '--include=dev' : '--omit=dev'];
  console.error(`Installing the locked dependencies once: npm ${args.join(' ')}`);
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const env = { ...process.env, PATH: pathWithoutOwnBinaries() };
  const stdio = ['ignore', 'ignore', 'inherit'];
  const result = await run('npm', [...args, ...quiet], { cwd: root, env, stdio });
  if (result.code === 0) return;
  console.error(
    `The dependencies could not be installed. To see why, run \`npm ${args.join(' ')}\` in ${root}.`,
  );
  exitLike(result);
}

/**
 * Compares the lock file with the record that npm leaves in node_modules once an install is complete. It tells a full
 * install from one without development packages, and it also knows an install that somebody did by hand.
 */
function isInstalled({ dev }) {
  const wanted = packagesIn('package-lock.json');
  const installed = packagesIn(path.join('node_modules', '.package-lock.json'));
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([name, entry]) => {
    const required = name !== '' && isRequired(entry, { dev });
    return !required || isSamePackage(entry, installed[name]);
  });
}

/** Optional packages include those of other platforms; whether the right one came is seen when it is needed. */
function isRequired(entry, { dev }) {
  if (entry.optional) return false;
  return dev || !(entry.dev || entry.devOptional);
}

function isSamePackage(entry, found) {
  return found !== undefined && found.version === entry.version && found.integrity === entry.integrity;
}

function packagesIn(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** npm must not run on the Node inside node_modules, which it is about to replace. */
function pathWithoutOwnBinaries() {
  const own = path.join(root, 'node_modules', '.bin');
  return (process.env.PATH || '')
    .split(path.delimiter)
    .filter((folder) => path.resolve(folder) !== own)
    .join(path.delimiter);
}

module.exports = { ensureInstalled, root };
