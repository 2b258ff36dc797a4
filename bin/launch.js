'use strict';
// Owns the way from a shell command to src/cli/main.ts: the right Node, and code compiled once.

const { enableCompileCache } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { setFlagsFromString } = require('node:v8');
const { root } = require('./install.js');
const { findNode } = require('./node.js');
const { exitLike, run } = require('./run.js');

/** Runs the command line `authserver ...args`. */
async function launch(args) {
  const command = path.join(__dirname, 'authserver');
  const node = findNode();
  if (node === process.execPath) await runHere(command, args);
  else exitLike(await run(node, [command, ...args], { stdio: 'inherit' }));
}

async function runHere(command, args) {
  process.argv = [process.execPath, command, ...args];
  keepCompiledCode();
  // V8 grows its space for young objects while the program loads and then keeps it: 10 MB of an idle server.
  setFlagsFromString('--semi-space-growth-factor=1');
  try {
    await import(pathToFileURL(path.join(root, 'src', 'cli', 'main.ts')).href);
  } catch (error) {
    explainMissingPackage(error);
  }
}

/** Worker threads inherit the folder by the variable. A folder that cannot be written costs speed, nothing else. */
function keepCompiledCode() {
  process.env.NODE_COMPILE_CACHE ??= path.join(root, 'node_modules', '.cache', 'authserver');
  enableCompileCache(process.env.NODE_COMPILE_CACHE);
}

function explainMissingPackage(error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !error.message.startsWith('Cannot find package')) throw error;
  console.error(`The dependencies of authserver are not installed: ${error.message}.`);
  console.error(`Run \`npm ci --omit=dev\` in ${root}, then repeat the command.`);
  process.exit(1);
}

module.exports = { launch };
