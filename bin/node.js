'use strict';
// Owns the choice of the Node that runs us: this one when it is new enough, else the one pinned in the lock file.
// Plain CommonJS without dependencies, for any Node from 18 on.

const { root } = require('./install.js');

const OLDEST = { major: 24, minor: 15 };

function isNewEnough() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor);
}

/** The path of a Node that is new enough; ends the process with advice when there is none. */
function findNode() {
  if (isNewEnough()) return process.execPath;
  try {
    return require.resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    return refuse();
  }
}

function refuse() {
  const bringsOne = `Run \`npm ci --omit=dev\` in ${root}, which brings one, or install`;
  console.error(
    `authserver needs Node ${OLDEST.major}.${OLDEST.minor} or newer; this is ${process.versions.node}.`,
  );
  console.error(
    `${process.platform === 'linux' ? bringsOne : 'Install'} a newer Node, then repeat the command.`,
  );
  process.exit(1);
}

module.exports = { findNode };
