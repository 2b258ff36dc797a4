import { createInterface } from 'node:readline/promises';
import { Failure } from '../kernel/errors.ts';
import type { Keyboard } from './secret.ts';

/**
 * Lets a step that cannot be undone pass only when the person at the terminal says yes. Fails with `refused` when they do
 * not, or when nobody is there to ask.
 */
export async function confirm({ stdin, stderr }: Keyboard, question: string): Promise<void> {
  if (!stdin.isTTY) {
    throw new Failure('refused', `${question} Nobody is there to answer, so nothing was done.`, {
      hint: 'Say --yes to go ahead without being asked.',
    });
  }
  const lines = createInterface({ input: stdin, output: stderr });
  try {
    const answer = await lines.question(`${question} [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  throw new Failure('refused', 'Nothing was done.');
}
