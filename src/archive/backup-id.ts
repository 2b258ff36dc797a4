/** What a backup is called: its sequence, when it was made, and some chance: `00000042-20261122T000439Z-k3f9`. */
import type { Random } from '../kernel/random.ts';

const ID = /^(\d{8})-\d{8}T\d{6}Z-[a-z0-9]{4}$/;
const LARGEST_SEQUENCE = 99_999_999;
const LETTERS = 'abcdefghjkmnpqrstvwxyz0123456789';

/** Ids sort by sequence; two of one sequence, made by two who did not know of each other, still differ. */
export function makeBackupId(sequence: number, madeAt: number, random: Random): string {
  if (!Number.isInteger(sequence) || sequence < 1 || sequence > LARGEST_SEQUENCE) {
    throw new RangeError(`${sequence} cannot be the sequence of a backup`);
  }
  const time = new Date(madeAt).toISOString().replace(/[-:]|\.\d+/g, '');
  const chance = [...random.bytes(4)].map((byte) => LETTERS[byte % LETTERS.length]).join('');
  return `${String(sequence).padStart(8, '0')}-${time}-${chance}`;
}

export function isBackupId(text: string): boolean {
  return ID.test(text);
}
