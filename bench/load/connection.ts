import { connect, type Socket } from 'node:net';

/** A request as the load needs it: kept alive, with a form or without a body. */
export interface Request {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly form?: string;
  readonly cookie?: string;
}

/** An answer, its headers left unread until somebody asks. */
export class Answer {
  readonly status: number;
  readonly body: string;
  readonly #head: string;

  constructor(head: string, body: string) {
    this.status = Number(head.slice(9, 12));
    this.body = body;
    this.#head = head;
  }

  header(name: string): string | undefined {
    return headerOf(this.#head, name);
  }
}

/** What one user does: requests it sends, one after the other, and is handed the answers of. */
export type Steps<Result> = Generator<Request, Result, Answer>;

interface Play {
  readonly steps: Steps<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

const END_OF_HEAD = '\r\n\r\n';

/**
 * One kept-alive connection that plays steps. It speaks just the HTTP/1.1 that the contenders answer with, bodies with a
 * Content-Length, so that the load costs the machine far less than any of them.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #host: string;
  #received: Buffer = Buffer.alloc(0);
  #play: Play | undefined;

  private constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  static open(url: URL): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(url.port), url.hostname);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket, url.host));
      });
    });
  }

  /** Resolves to what the steps return; rejects with what they throw or when the connection breaks. */
  play<Result>(steps: Steps<Result>): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#play = { steps, resolve: resolve as Play['resolve'], reject };
      this.#step();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Runs synchronously from an answer to the next request: a promise for each would cost more than both. */
  #step(...answer: [] | [Answer]): void {
    const play = this.#play;
    if (!play) return;
    try {
      // The first `next` starts the generator and takes no answer.
      const { done, value } = play.steps.next(...(answer as [Answer]));
      if (!done) {
        this.#send(value);
        return;
      }
      this.#play = undefined;
      play.resolve(value);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #send({ method, path, form, cookie }: Request): void {
    let text = `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n`;
    if (cookie !== undefined) text += `Cookie: ${cookie}\r\n`;
    if (form !== undefined) {
      text += `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`;
    } else {
      text += '\r\n';
    }
    this.#socket.write(text, 'latin1');
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const endOfHead = this.#received.indexOf(END_OF_HEAD);
    if (endOfHead === -1) return;
    const head = this.#received.toString('latin1', 0, endOfHead);
    const length = headerOf(head, 'content-length');
    if (length === undefined) {
      this.#fail(new Error(`an answer without Content-Length:\n${head}`));
      return;
    }
    const start = endOfHead + END_OF_HEAD.length;
    const end = start + Number(length);
    if (this.#received.length < end) return;
    const body = this.#received.toString('utf8', start, end);
    this.#received = this.#received.subarray(end);
    this.#step(new Answer(head, body));
  }

  #fail(error: Error): void {
    const play = this.#play;
    this.#play = undefined;
    play?.reject(error);
  }
}

function headerOf(head: string, name: string): string | undefined {
  return new RegExp(`\r\n${name}: *([^\r]*)`, 'i').exec(head)?.[1];
}
