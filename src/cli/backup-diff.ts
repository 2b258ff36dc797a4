import { once } from 'node:events';
import type { DiffReport, SideReport } from '../app/reinstate/diff.ts';
import type { Difference } from '../ops/reinstate/difference.ts';
import { openingOf, openingOptions } from './backup-keys.ts';
import { type CliContext, command } from './command.ts';
import { text } from './option.ts';
import { type Column, moment } from './print/printer.ts';

/** Differences of a table and a kind that people are shown; programs get all of them. */
const SHOWN = 20;

export const backupDiffCommand = command({
  name: 'backup diff',
  summary: 'Say what one backup has that another has not, row by row.',
  description:
    'Each side is the id of a backup, the path of an archive, `latest` for the newest that was proven, or `live` for the ' +
    'database of the settings, which may be served meanwhile. `-` is what only the first has, `+` what only the second has, `~` what is in both and not the same. ' +
    'Secrets and hashes are never shown, only that they changed. With --json every difference is a line of its own, and ' +
    'the last line has the counts; without that line it was not read to its end, and nothing before it counts.',
  arguments: { first: 'id, file, latest or live', second: 'the same' },
  options: {
    only: text('--only <tables>', 'only these tables, with commas between them'),
    ...openingOptions,
  },
  examples: [
    'authserver backup diff latest live --recovery-key recovery-sheet.txt',
    'authserver backup diff 00000041-20261121T000439Z-c2d8 00000042-20261122T000439Z-k3f9 --only users,clients',
  ],
  drains: true,
  async run(context, { first, second, only, ...input }) {
    const { diff } = await import('../app/reinstate/diff.ts');
    const config = await context.config();
    const tables = only
      ?.split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
    const request = { first, second, only: tables, ...openingOf(context, input) };
    const told = new Map<string, number>();
    const tell = (difference: Difference) => show(context, difference, told);
    print(context, await diff(config, request, tell, context.signal));
  },
});

async function show(
  { printer, stdout }: CliContext,
  difference: Difference,
  told: Map<string, number>,
): Promise<void> {
  const kind = `${difference.table} ${difference.change}`;
  const before = told.get(kind) ?? 0;
  told.set(kind, before + 1);
  printer.item(difference, lineOf(difference, before));
  // There may be millions, and whoever reads them may be slow.
  if ('writableNeedDrain' in stdout && stdout.writableNeedDrain === true) await once(stdout, 'drain');
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

function lineOf({ table, change, key, columns }: Difference, before: number): string | null {
  if (before > SHOWN) return null;
  if (before === SHOWN) return `${SIGNS[change]} ${table} ... (more; --json tells all)`;
  const changes = columns.map(({ column, from, to }) =>
    from === undefined ? `${column} changed` : `${column} ${shownValue(from)} -> ${shownValue(to ?? null)}`,
  );
  const which = Object.values(key).map(String).join(' ');
  return `${SIGNS[change]} ${table} ${printable(which)}${changes.length > 0 ? `: ${changes.join(', ')}` : ''}`;
}

function shownValue(value: string | number | null): string {
  return value === null ? 'none' : printable(String(value));
}

/** Names come from people, and a terminal obeys what is hidden in them. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '\ufffd');
}

function print({ printer }: CliContext, report: DiffReport): void {
  const { first, second, tables, only_in } = report;
  const differing = tables.filter(({ added, removed, changed }) => added + removed + changed > 0);
  const lines: Column<DiffReport>[] = [
    { title: '-', text: () => sideText(first) },
    { title: '+', text: () => sideText(second) },
    ...differing.map(({ table, added, removed, changed }) => ({
      title: table,
      text: () => `${added} added, ${removed} removed, ${changed} changed`,
    })),
    ...[...only_in.first, ...only_in.second].map((name) => ({
      title: name,
      text: () => 'not compared: only one of the two schemas has it',
    })),
    ...(first.deployment_id === second.deployment_id
      ? []
      : [{ title: 'note', text: () => 'these are two deployments' }]),
  ];
  printer.record(report, differing.length === 0 ? 'There is no difference.' : 'What differs:', lines);
}

function sideText({ name, state_of, schema_version }: SideReport): string {
  return `${name}, state of ${moment(state_of)}, schema step ${schema_version}`;
}
