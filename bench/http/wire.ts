import { connect, type Socket } from 'node:net';

export interface Answer {
  readonly status: number;
  readonly bodyBytes: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * One client connection with one request under way at a time, as cheap as a client can be: the request is bytes made
 * before, of the answer only status and framing are read. Opens a new socket where the peer ended the last one.
 */
export class Wire {
  readonly #open: () => Socket;
  readonly #onEnd: (answer: Answer | Error) => void;
  #socket: Socket | undefined;
  #head: Buffer | undefined;
  #status = 0;
  #bodyBytes = 0;
  /** -1: in the head. */
  #left = -1;
  #closing = false;
  #busy = false;

  /** `to`: a port of this machine, or what makes a socket that is connected, or will be. */
  constructor(to: number | (() => Socket), onEnd: (answer: Answer | Error) => void) {
    this.#open = typeof to === 'number' ? () => connect({ host: '127.0.0.1', port: to, noDelay: true }) : to;
    this.#onEnd = onEnd;
  }

  send(request: Uint8Array): void {
    this.#begin().write(request);
  }

  /** Sends a head and then `bytes` bytes of body, no faster than the peer reads. */
  upload(head: Uint8Array, block: Uint8Array, bytes: number): void {
    const socket = this.#begin();
    let left = bytes;
    const more = (): void => {
      let room = true;
      while (left > 0 && room) {
        const chunk = left < block.length ? block.subarray(0, left) : block;
        left -= chunk.length;
        room = socket.write(chunk);
      }
      if (left === 0) socket.off('drain', more);
    };
    socket.on('drain', more);
    socket.write(head);
    more();
  }

  /** Resolves once there is a connection. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#connected();
      if (!socket.connecting) resolve();
      socket.once('connect', resolve).once('error', reject);
    });
  }

  close(): void {
    this.#busy = false;
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #begin(): Socket {
    this.#busy = true;
    this.#left = -1;
    this.#bodyBytes = 0;
    this.#closing = false;
    return this.#connected();
  }

  #connected(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    const socket = (this.#socket = this.#open());
    this.#head = undefined;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => this.#gone(socket, error));
    socket.on('close', () => this.#gone(socket, new Error('closed before the answer was complete')));
    return socket;
  }

  #gone(socket: Socket, error: Error): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    if (this.#busy) this.#finish(error);
  }

  #read(chunk: Buffer): void {
    let body = chunk;
    if (this.#left < 0) {
      const bytes = this.#head === undefined ? chunk : Buffer.concat([this.#head, chunk]);
      const end = bytes.indexOf(HEAD_END);
      if (end < 0) {
        this.#head = bytes;
        return;
      }
      this.#head = undefined;
      this.#parse(bytes.toString('latin1', 0, end));
      body = bytes.subarray(end + HEAD_END.length);
    }
    this.#bodyBytes += body.length;
    this.#left -= body.length;
    if (this.#left > 0) return;
    if (this.#closing) {
      const socket = this.#socket;
      this.#socket = undefined;
      socket?.destroy();
    }
    this.#finish({ status: this.#status, bodyBytes: this.#bodyBytes });
  }

  #parse(head: string): void {
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) throw new Error(`an answer without Content-Length: ${head}`);
    this.#left = Number(length);
    this.#closing = /\r\nconnection: *close/i.test(head);
  }

  #finish(answer: Answer | Error): void {
    this.#busy = false;
    this.#onEnd(answer);
  }
}
