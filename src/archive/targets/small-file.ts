/** Files on a shelf that are small: notes, heads. */
import type { Shelf } from './shelf.ts';

/** Failures: those of a Shelf. */
export async function writeSmall(shelf: Shelf, name: string, bytes: Uint8Array): Promise<void> {
  await shelf.write(name, one(bytes));
}

/** What is longer is cut, and then is not what somebody has signed. Failures: those of a Shelf, `not_found`. @param longest bytes */
export async function readSmall(
  shelf: Shelf,
  name: string,
  longest: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of shelf.read(name, signal)) {
    length += piece.length;
    if (length > longest) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}
