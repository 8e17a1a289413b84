import { connect, type Socket } from 'node:net';
import { keepArtefact } from '../canary.ts';

/** Codes of the untyped first messages (PostgreSQL documentation, "Message Formats"). */
const CODE = { startup: 3 << 16, ssl: 80_877_103, gss: 80_877_104, cancel: 80_877_102 } as const;

function untyped(code: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const message = Buffer.alloc(8);
  message.writeInt32BE(8 + body.length, 0);
  message.writeInt32BE(code, 4);
  return Buffer.concat([message, body]);
}

export function startup(parameters: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`);
  return untyped(CODE.startup, Buffer.from(`${text.join('')}\0`));
}

export function sslRequest(): Buffer {
  return untyped(CODE.ssl);
}

export function gssRequest(): Buffer {
  return untyped(CODE.gss);
}

export function cancelRequest(key: Uint8Array): Buffer {
  return untyped(CODE.cancel, key);
}

export function typed(type: string, body: Uint8Array | string = ''): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(4 + bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export function query(text: string): Buffer {
  return typed('Q', `${text}\0`);
}

export interface Frame {
  readonly type: string;
  readonly body: Buffer;
}

/** Fields of an ErrorResponse by their letter. */
export function errorFields({ body }: Frame): Record<string, string> {
  const fields = body.toString('utf8').split('\0');
  return Object.fromEntries(fields.filter((field) => field !== '').map((field) => [field[0]!, field.slice(1)]));
}

/** Bytes of a client, sent and received as they are. */
export class RawClient {
  readonly socket: Socket;
  /** Resolves once both ways are closed. */
  readonly closed: Promise<void>;
  #received = Buffer.alloc(0);
  #waiting: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#waiting();
    });
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        keepArtefact('downstream', this.#received);
        resolve();
        this.#waiting();
      });
    });
  }

  static open(port: number, options: { readonly allowHalfOpen?: boolean } = {}): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...options }, () => {
        socket.off('error', reject);
        resolve(new RawClient(socket));
      }).once('error', reject);
    });
  }

  get received(): Buffer {
    return this.#received;
  }

  send(...messages: Uint8Array[]): this {
    this.socket.write(Buffer.concat(messages));
    return this;
  }

  /** Takes exactly `count` bytes. Fails where the other side ends before. */
  async take(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      if (this.socket.closed) throw new Error(`closed with ${this.#received.length} of ${count} bytes`);
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
    const bytes = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return bytes;
  }

  async frame(): Promise<Frame> {
    const head = await this.take(5);
    return { type: head.toString('latin1', 0, 1), body: await this.take(head.readInt32BE(1) - 4) };
  }

  /** Frames up to and with the first of this type. */
  async until(type: string): Promise<Frame[]> {
    const frames: Frame[] = [];
    do frames.push(await this.frame());
    while (frames.at(-1)!.type !== type);
    return frames;
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<Buffer> {
    await this.closed;
    return this.#received;
  }
}
