import { connect, type Socket } from 'node:net';
import { framesOf, type Frames } from './framing.ts';
import type { Transfer } from './requests.ts';

/** A process of its own that moves one body at a time, as fast as the other side takes or gives it. */

export interface Move extends Transfer {
  readonly port: number;
}

export interface Moved {
  /** From the first byte out to the last byte in. */
  readonly seconds: number;
  readonly status: number;
  readonly bodyBytes: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

function move({ port, head, uploadBytes, framing }: Move): Promise<Moved> {
  const frames = framesOf(framing, uploadBytes);
  const fields = framing === 'none' ? '' : `Content-Length: ${frames.length}\r\n`;
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let begun = 0;
    const answer = new AnswerReader((status, bodyBytes) => {
      socket.destroy();
      resolve({ seconds: (performance.now() - begun) / 1000, status, bodyBytes });
    });
    socket.on('data', (bytes) => answer.take(bytes));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed before the answer was complete')));
    socket.once('connect', () => {
      begun = performance.now();
      socket.write(`${head}${fields}\r\n`, 'latin1');
      send(socket, frames, uploadBytes);
    });
  });
}

function send(socket: Socket, { block, lines, ending }: Frames, bytes: number): void {
  let left = bytes;
  let at = 0;
  const more = (): void => {
    if (socket.destroyed) return;
    while (at < lines.length && !socket.writableNeedDrain) {
      const size = Math.min(left, block.length);
      socket.cork();
      if (lines[at]!.length > 0) socket.write(lines[at]!);
      socket.write(size === block.length ? block : block.subarray(0, size));
      socket.uncork();
      left -= size;
      at += 1;
    }
    if (at < lines.length) return;
    socket.off('drain', more);
    if (ending.length > 0) socket.write(ending);
  };
  socket.on('drain', more);
  more();
}

/** Reads status and length of one answer and counts its body. */
class AnswerReader {
  readonly #onEnd: (status: number, bodyBytes: number) => void;
  #head = Buffer.alloc(0);
  #status = 0;
  #expected = -1;
  #bytes = 0;

  constructor(onEnd: (status: number, bodyBytes: number) => void) {
    this.#onEnd = onEnd;
  }

  take(bytes: Buffer): void {
    let body = bytes;
    if (this.#expected < 0) {
      this.#head = Buffer.concat([this.#head, bytes]);
      const end = this.#head.indexOf(HEAD_END);
      if (end < 0) return;
      const text = this.#head.toString('latin1', 0, end);
      this.#status = Number(text.slice(9, 12));
      this.#expected = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0);
      body = this.#head.subarray(end + HEAD_END.length);
    }
    this.#bytes += body.length;
    if (this.#bytes >= this.#expected) this.#onEnd(this.#status, this.#bytes);
  }
}

process.on('message', (question: Move) => {
  move(question).then(
    (moved) => process.send!(moved),
    (error: unknown) => process.send!({ failed: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
