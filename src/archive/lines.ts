/** How many lines of NDJSON there are; undefined when there is none, or the last one does not end. */
export function countLines(bytes: Uint8Array): number | undefined {
  if (bytes.at(-1) !== 0x0a) return undefined;
  let lines = 0;
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) lines++;
  return lines;
}
