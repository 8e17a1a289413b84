import type { Socket } from 'node:net';
import type { SidecarError } from '../error.ts';
import { problemText } from '../http/upgrade.ts';

/** How whoever asks for a tunnel is answered. */
export interface Answers {
  /** What says yes; nothing where nobody waits for an answer. */
  readonly yes: Buffer;
  no(error: SidecarError, id: string): Buffer;
}

/** RFC 9110 section 9.3.6. */
export const CONNECT_ANSWERS: Answers = {
  yes: Buffer.from('HTTP/1.1 200 Connection Established\r\n\r\n'),
  no: problemText,
};

/** Fatal alerts (RFC 8446 section 6.2): a record of two bytes, in the oldest version that everybody reads. */
const ACCESS_DENIED = Buffer.from([21, 3, 1, 0, 2, 2, 49]);

/** Of a connection that was led here and speaks TLS: whoever opened it thinks that it is the upstream's. */
export const REDIRECTED_ANSWERS: Answers = { yes: Buffer.alloc(0), no: () => ACCESS_DENIED };

/** Reading on for a moment keeps the reset for unread bytes from overtaking the answer. */
const LINGER_MS = 500;

/** Somebody who waits to be led somewhere, or told why not. */
export class Door {
  readonly socket: Socket;
  /** Correlation id. */
  readonly id: string;
  /** Set once it is known to speak TLS with whoever is behind the door. */
  speaksTls = false;
  readonly #answers: Answers;
  #open = false;

  constructor(socket: Socket, id: string, answers: Answers) {
    this.socket = socket;
    this.id = id;
    this.#answers = answers;
  }

  open(): void {
    if (this.#open) return;
    this.#open = true;
    if (this.#answers.yes.length > 0) this.socket.write(this.#answers.yes);
  }

  /** Says no, where that can still be said, and closes. */
  refuse(error: SidecarError): void {
    if (!this.#open) farewell(this.socket, this.#answers.no(error, this.id));
    else if (this.speaksTls) farewell(this.socket, ACCESS_DENIED);
    else this.socket.destroy();
  }
}

function farewell(socket: Socket, answer: Buffer): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(answer);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}
