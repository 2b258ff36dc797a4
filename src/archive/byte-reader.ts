/** Reads a stream of buffers in pieces of the reader's choice. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #ended = false;
  /** How many bytes have been taken. */
  position = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly `length` bytes, or fewer at the end of the stream. */
  async take(length: number): Promise<Buffer> {
    while (this.#heldBytes < length && (await this.#pull()));
    return this.#remove(Math.min(length, this.#heldBytes));
  }

  /** The bytes up to and with the next line feed; undefined when none comes within `limit` bytes. */
  async line(limit: number): Promise<Buffer | undefined> {
    for (;;) {
      const at = Buffer.concat(this.#held).indexOf(0x0a);
      if (at !== -1 && at < limit) return this.#remove(at + 1);
      if (at !== -1 || this.#heldBytes >= limit || !(await this.#pull())) return undefined;
    }
  }

  /** Everything that has not been taken, after what has been taken and is given back. */
  async *rest(taken: Buffer): AsyncGenerator<Buffer, void> {
    yield taken;
    for (const held of this.#held.splice(0)) yield held;
    while (await this.#pull()) yield* this.#held.splice(0);
  }

  /** Lets go of the source, whether or not it was read to its end. */
  async close(): Promise<void> {
    this.#ended = true;
    await this.#source.return?.();
  }

  async #pull(): Promise<boolean> {
    if (this.#ended) return false;
    const { done, value } = await this.#source.next();
    if (done) {
      this.#ended = true;
      return false;
    }
    this.#held.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    this.#heldBytes += value.byteLength;
    return true;
  }

  #remove(length: number): Buffer {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      const first = this.#held[0];
      if (!first) break;
      const part = first.subarray(0, missing);
      if (part.length === first.length) this.#held.shift();
      else this.#held[0] = first.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    this.#heldBytes -= length;
    this.position += length;
    return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length);
  }
}
