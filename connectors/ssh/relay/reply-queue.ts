import { SshError } from '../transport/ssh-error.ts';

const OWED_MAX = 4096;

type Owed = 'relayed' | 'swallowed' | { readonly seen: (message: Buffer) => void } | (() => void);

/**
 * Replies that one side waits for, in the order in which it asked: they carry no number, so that what we answer
 * ourselves has to wait behind what the other side still owes (RFC 4254 §4, §5.4).
 */
export class ReplyQueue {
  readonly #send: (message: Buffer) => void;
  /** A function: an answer of our own. `relayed` is passed on, `swallowed` was asked for by us. */
  #owed: Owed[] = [];

  constructor(send: (message: Buffer) => void) {
    this.#send = send;
  }

  get length(): number {
    return this.#owed.length;
  }

  /** True where one more would be too many. */
  get full(): boolean {
    return this.#owed.length >= OWED_MAX;
  }

  /** The other side will answer; `swallowed` where nobody but us asked. `seen` is shown an answer before it is relayed. */
  expect(kind: 'relayed' | 'swallowed', seen?: (message: Buffer) => void): void {
    if (this.full) throw new SshError('protocol', 'too many requests wait for their answers');
    this.#owed.push(seen === undefined ? kind : { seen });
  }

  /** Runs `answer`, which sends, as soon as everything asked before it has been answered. */
  answer(answer: () => void): void {
    if (this.#owed.length === 0) return answer();
    if (this.full) throw new SshError('protocol', 'too many requests wait for their answers');
    this.#owed.push(answer);
  }

  /** A reply of the other side's has come. Errors: `protocol` where none was owed. */
  reply(message: Buffer): void {
    const kind = this.#owed.shift();
    if (kind === undefined || typeof kind === 'function') throw new SshError('protocol', 'a reply to no request');
    if (typeof kind === 'object') kind.seen(message);
    if (kind !== 'swallowed') this.#send(message);
    this.#flush();
  }

  /** The other side will not answer any more: what it owed is answered by `instead`. */
  settle(instead: () => void): void {
    const owed = this.#owed;
    this.#owed = [];
    for (const each of owed) {
      if (typeof each === 'function') each();
      else if (each !== 'swallowed') instead();
    }
  }

  #flush(): void {
    for (let next = this.#owed[0]; typeof next === 'function'; next = this.#owed[0]) {
      this.#owed.shift();
      next();
    }
  }
}
