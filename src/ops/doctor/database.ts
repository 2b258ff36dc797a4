/** Whether the database answers, and is one for this program. */
import type { Facts } from './facts.ts';
import { failing, type Verdict, verdict, warning } from './finding.ts';

export function judgeDatabase({ database }: Pick<Facts, 'database'>): Verdict {
  const { name, trouble, isEmpty, pending } = database;
  if (trouble !== undefined) return verdict('', [failing(trouble.finding, trouble.hint)]);
  if (isEmpty)
    return verdict('', [
      warning(`${name} is empty`, 'The first start makes what it needs: `authserver serve`.'),
    ]);
  return verdict(`${name} answers, and its schema is up to date`, [
    pending.length === 0
      ? undefined
      : warning(
          `${name} lacks schema steps: ${pending.join(', ')}`,
          'See what they would do: `authserver migrate --plan`',
        ),
  ]);
}
