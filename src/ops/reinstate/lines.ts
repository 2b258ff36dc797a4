/** The lines of a part of a table, each a row. */
export function linesOf(bytes: Uint8Array): readonly string[] {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString().trimEnd().split('\n');
}
