import { programVersion } from '../app/version.ts';
import { command } from './command.ts';

export const versionCommand = command({
  name: 'version',
  summary: 'Print the version of this program and of what runs it.',
  examples: ['authserver version', 'authserver version --json'],
  async run({ printer }) {
    const { node, sqlite } = process.versions;
    const version = { version: programVersion(), node, sqlite: sqlite ?? null };
    printer.record(version, `authserver ${version.version}`, [
      { title: 'Node', text: (row) => row.node },
      { title: 'SQLite', text: (row) => row.sqlite ?? '-' },
    ]);
  },
});
