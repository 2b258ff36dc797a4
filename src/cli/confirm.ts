import { createInterface } from 'node:readline/promises';
import { Failure } from '../kernel/errors.ts';
import type { Keyboard } from './secret.ts';

/**
 * Lets a step that cannot be undone pass only when the person at the terminal says yes; where the wrong machine would be
 * the end of it, they have to type a word that names the right one. Fails with `refused` when they do not, or when nobody is
 * there to ask.
 */
export async function confirm({ stdin, stderr }: Keyboard, question: string, word?: string): Promise<void> {
  if (!stdin.isTTY) {
    throw new Failure('refused', `${question} Nobody is there to answer, so nothing was done.`, {
      hint: 'Say --yes to go ahead without being asked.',
    });
  }
  const lines = createInterface({ input: stdin, output: stderr });
  try {
    const wanted = word === undefined ? '[y/N]' : `Type ${word} to go ahead:`;
    const answer = (await lines.question(`${question} ${wanted} `)).trim();
    if (word === undefined ? /^y(es)?$/i.test(answer) : answer === word) return;
  } finally {
    lines.close();
  }
  throw new Failure('refused', 'Nothing was done.');
}
