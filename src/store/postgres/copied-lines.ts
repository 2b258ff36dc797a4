/**
 * The lines of a table out of what COPY sends: in its CSV with `\` as the escape, a row is the values of a JSON object but for
 * the names, and for control characters in texts (RFC 8259 section 7).
 */
import type { Page } from '../snapshot-read.ts';
import type { TableShape } from '../sql/tables.ts';

/** `copy` that `CopiedLines` reads, of the rows of a query. */
export function copyText({ columns }: Pick<TableShape, 'columns'>, query: string): string {
  const texts = columns.filter(({ type }) => type === 'text').map(({ name }) => name);
  const quoted = texts.length > 0 ? `, force_quote (${texts.join(', ')})` : '';
  return `copy (${query}) to stdout with (format csv, escape '\\', null 'null'${quoted})`;
}

const [QUOTE, BACKSLASH, COMMA, LINE_FEED, SPACE] = [0x22, 0x5c, 0x2c, 0x0a, 0x20];
/** As JSON.stringify writes them. */
const CONTROLS = Array.from({ length: SPACE }, (_, code) =>
  Buffer.from(JSON.stringify(String.fromCharCode(code)).slice(1, -1)),
);
const END = Buffer.from('}\n');
/** In the place of one byte. */
const LONGEST_CONTROL = 6;

/** Takes pieces that may be cut anywhere. */
export class CopiedLines {
  /** What stands before the value of each column. */
  readonly #names: readonly Buffer[];
  /** Bytes from which on whole lines are a page. */
  readonly #page: number;
  /** How many bytes one may become. */
  readonly #growth: number;
  #out = Buffer.alloc(0);
  #at = 0;
  /** Where the last whole line ends, and how many there are. */
  #end = 0;
  #rows = 0;
  /** The one whose value comes in; none between two rows. */
  #column = -1;
  #inText = false;
  #isEscaped = false;

  constructor({ columns }: Pick<TableShape, 'columns'>, page: number) {
    this.#names = columns.map(({ name }, index) => Buffer.from(`${index === 0 ? '{' : ','}"${name}":`));
    this.#page = page;
    const longest = Math.max(...this.#names.map((name) => name.length));
    this.#growth = longest + LONGEST_CONTROL;
  }

  /** The page that is full with this piece, if it is. @throws TypeError for other columns than the table has */
  add(piece: Uint8Array): Page | undefined {
    const out = this.#roomFor(piece.length * this.#growth);
    let at = this.#at;
    let inText = this.#inText;
    let isEscaped = this.#isEscaped;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i] as number;
      if (inText) {
        if (byte < SPACE) {
          at = put(CONTROLS[byte], out, at);
          continue;
        }
        out[at++] = byte;
        if (isEscaped) isEscaped = false;
        else if (byte === BACKSLASH) isEscaped = true;
        else if (byte === QUOTE) inText = false;
        continue;
      }
      if (this.#column < 0) at = put(this.#names[++this.#column], out, at);
      if (byte === COMMA) at = put(this.#names[++this.#column], out, at);
      else if (byte === LINE_FEED) {
        if (this.#column < this.#names.length - 1)
          throw new TypeError('the copy of a table has fewer columns than the table');
        at = put(END, out, at);
        this.#end = at;
        this.#rows += 1;
        this.#column = -1;
      } else {
        out[at++] = byte;
        inText = byte === QUOTE;
      }
    }
    this.#at = at;
    this.#inText = inText;
    this.#isEscaped = isEscaped;
    return this.#end < this.#page ? undefined : this.#take();
  }

  /** What is left. @throws TypeError when that is not whole lines */
  end(): Page | undefined {
    if (this.#end < this.#at) throw new TypeError('the copy of a table ends within a row');
    return this.#rows === 0 ? undefined : this.#take();
  }

  #roomFor(bytes: number): Buffer {
    if (this.#out.length - this.#at >= bytes) return this.#out;
    const larger = Buffer.allocUnsafeSlow(this.#at + this.#page + bytes);
    this.#out.copy(larger, 0, 0, this.#at);
    this.#out = larger;
    return larger;
  }

  #take(): Page {
    const page = { rows: this.#rows, lines: Buffer.from(this.#out.subarray(0, this.#end)) };
    this.#out.copyWithin(0, this.#end, this.#at);
    this.#at -= this.#end;
    this.#end = 0;
    this.#rows = 0;
    return page;
  }
}

/** Where it goes on. For a few bytes a loop is quicker than `set`. */
function put(bytes: Buffer | undefined, out: Buffer, from: number): number {
  if (!bytes) throw new TypeError('the copy of a table has more columns than the table');
  let at = from;
  for (let i = 0; i < bytes.length; i++) out[at++] = bytes[i] as number;
  return at;
}
