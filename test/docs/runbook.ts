// Owns how a runbook is read: which of its blocks are commands, and for whom. Knows nothing of what they do.

import type { Engine } from '../setup/engines.ts';

/** A fenced block of commands, as a reader would paste it. */
export interface Block {
  /** The line of the document on which its commands begin, from 1. */
  readonly line: number;
  readonly text: string;
}

const FENCE = /^```(\S*)[ \t]*(.*)$/;

/**
 * The ```sh blocks of a document, in order. After `sh` may stand what the block is for: the name of an engine, so that it
 * is meant for that one only.
 */
export function commandBlocks(markdown: string, engine: Engine['name']): Block[] {
  const blocks: Block[] = [];
  const lines = markdown.split('\n');
  let open: { language: string; note: string; start: number } | undefined;
  for (const [index, line] of lines.entries()) {
    const fence = FENCE.exec(line);
    if (!fence) continue;
    if (open === undefined) {
      open = { language: fence[1] ?? '', note: fence[2] ?? '', start: index + 1 };
      continue;
    }
    const { language, note, start } = open;
    open = undefined;
    if (language !== 'sh' || (note !== '' && note !== engine)) continue;
    blocks.push({ line: start + 1, text: lines.slice(start, index).join('\n') });
  }
  return blocks;
}

/**
 * One script of all blocks: variables of one are there in the next, as in a reader's shell, and the first command that fails
 * ends it. A command line that ends in `# exit 3` must end with that code.
 */
export function scriptOf(blocks: readonly Block[], name: string): string {
  const parts = blocks.map(({ line, text }) => `runbook_place='${name}:${line}'\n${expectCodes(text)}`);
  const onError = `trap 'echo "failed in the block at $runbook_place: $BASH_COMMAND" >&2' ERR`;
  return ['set -euo pipefail', onError, ...parts].join('\n');
}

function expectCodes(text: string): string {
  return text.replaceAll(/^(.+?)\s+# exit (\d+)\b.*$/gm, (_, command: string, code: string) =>
    [
      `code=0; ${command} || code=$?`,
      `[ "$code" = ${code} ] || { echo "ended with $code, not ${code}" >&2; false; }`,
    ].join('\n'),
  );
}
