import { SidecarError } from '../error.ts';
import type { Side } from './handshake.ts';
import { hexColumns } from './hex-columns.ts';
import type { StepOf } from './perform.ts';

/** Bytes, or text that is sent as UTF-8, or what makes them once it is their turn. */
export type Sent = Uint8Array | string | (() => Uint8Array | string);

/** Bytes, or text as UTF-8, or what looks at all that was written since the last look and throws where it is wrong. */
export type Expected = Uint8Array | string | ((bytes: Buffer) => void);

/** Steps that a transcript answers line by line; all others answer themselves. */
export type Question = 'authorize' | 'reauthorize' | 'dial' | 'startTls';

/** One line of a conversation. */
export type Line =
  | { readonly is: 'sends'; readonly side: Side; readonly sent: Sent }
  | { readonly is: 'ends'; readonly side: Side }
  | { readonly is: 'stalls'; readonly side: Side }
  | { readonly is: 'receives'; readonly side: Side; readonly expected: Expected }
  | { readonly is: 'answers'; readonly question: Question; readonly words: string; readonly give: Give };

/** The answer to a step; throws a `SidecarError` that the login hears, or a `TranscriptMismatch`. */
type Give = (step: StepOf<Question>) => unknown;

/** The login did something else than the transcript says. */
export class TranscriptMismatch extends Error {
  override readonly name = 'TranscriptMismatch';
}

/** The lines of a conversation and how far it has come. */
export class Transcript {
  readonly #lines: Line[] = [];
  readonly #outbox: Record<Side, Buffer[]> = { downstream: [], upstream: [] };
  /** Bytes of a `sends` that arrive one chunk at a time. */
  #arriving: { readonly side: Side; bytes: Buffer } | undefined;
  #at = 0;

  push(line: Line): void {
    this.#lines.push(line);
  }

  written(side: Side, bytes: Buffer): void {
    this.#outbox[side].push(bytes);
  }

  /** What that side says next: bytes (`chunkBytes` at most), or its end. `feed` takes what the other side says before. */
  arrives(side: Side, chunkBytes: number, feed: (side: Side, bytes: Buffer | undefined) => void): Buffer | undefined {
    for (;;) {
      const arrived = this.#chunk(side, chunkBytes);
      if (arrived !== undefined) return arrived;
      const line = this.#next(`waits for more from ${side}`);
      if (line.is === 'answers') throw this.mismatch(`the login waits for more from ${side}`);
      this.#at += 1;
      if (line.is === 'stalls') {
        if (line.side === side) throw stalled(side);
        throw this.mismatch(`the login waits for more from ${side}`, -1);
      }
      if (line.side !== side) feed(line.side, line.is === 'ends' ? undefined : this.#bytes(line.sent));
      else if (line.is === 'ends') return undefined;
      else this.#arriving = { side, bytes: this.#bytes(line.sent) };
    }
  }

  answer(step: StepOf<Question>, feed: (side: Side, bytes: Buffer | undefined) => void): unknown {
    const asks = `asks: ${wordsOf(step)}`;
    this.#flush(feed);
    for (;;) {
      const line = this.#next(asks);
      if (line.is === 'stalls') throw this.mismatch(`the login ${asks}`);
      if (line.is === 'answers') {
        if (line.question !== step.do) throw this.mismatch(`the login ${asks}`);
        this.#at += 1;
        return line.give(step);
      }
      this.#at += 1;
      feed(line.side, line.is === 'ends' ? undefined : this.#bytes(line.sent));
    }
  }

  /** Nothing may be left over once the login has ended. */
  finish(how: string, feed: (side: Side, bytes: Buffer | undefined) => void): void {
    this.#flush(feed);
    this.#settle(how);
    if (this.#at < this.#lines.length) throw this.mismatch(`the login ${how}`);
  }

  /** What the side still says of the line that it is in. */
  hasten(side: Side, feed: (side: Side, bytes: Buffer) => void): void {
    if (this.#arriving?.side === side) this.#flush(feed);
  }

  /** In a conversation that was cut: what that side says next, with all lines in between passed over. */
  arrivesAnyway(side: Side): Buffer | undefined {
    const arrived = this.#chunk(side, Infinity);
    if (arrived !== undefined) return arrived;
    const line = this.#skipTo((each) => (each.is === 'sends' || each.is === 'ends') && each.side === side);
    return line?.is === 'sends' ? this.#bytes(line.sent) : undefined;
  }

  /** In a conversation that was cut: the next answer to that question; undefined where the transcript has none. */
  answerAnyway(step: StepOf<Question>): { readonly answer: unknown } | undefined {
    const line = this.#skipTo((each) => each.is === 'answers' && each.question === step.do);
    return line?.is === 'answers' ? { answer: line.give(step) } : undefined;
  }

  mismatch(what: string, behind = 0): TranscriptMismatch {
    const here = this.#at + behind;
    const lines = this.#lines.map(
      (line, at) => `${at === here ? '>' : ' '} ${String(at + 1).padStart(3)}  ${said(line)}`,
    );
    if (here >= this.#lines.length) lines.push('>      (the end)');
    return new TranscriptMismatch(`${what}\n${lines.join('\n')}`);
  }

  /** The next line that is no expectation, once all that was written is accounted for. */
  #next(doing: string): Exclude<Line, { is: 'receives' }> {
    this.#settle(doing);
    const line = this.#lines[this.#at];
    if (line === undefined || line.is === 'receives') throw this.mismatch(`the login ${doing}`);
    return line;
  }

  /** Compares what was written with the expectations at hand. */
  #settle(doing: string): void {
    for (let line = this.#lines[this.#at]; line?.is === 'receives'; line = this.#lines[this.#at]) {
      this.#compare(line.side, line.expected, doing);
      this.#at += 1;
    }
    for (const side of ['downstream', 'upstream'] as const) {
      const unexpected = Buffer.concat(this.#outbox[side]);
      if (unexpected.length > 0) {
        throw this.mismatch(
          `${side} received what it does not expect here\n${hexColumns(Buffer.alloc(0), unexpected)}\n`,
        );
      }
    }
  }

  #compare(side: Side, expected: Expected, doing: string): void {
    const received = Buffer.concat(this.#outbox[side]);
    this.#outbox[side] = [];
    if (typeof expected === 'function') {
      if (received.length === 0) throw this.mismatch(`${side} received nothing, and the login ${doing}`);
      expected(received);
      return;
    }
    const wanted = bytesOf(expected);
    if (received.subarray(0, wanted.length).equals(wanted)) {
      if (received.length > wanted.length) this.#outbox[side] = [received.subarray(wanted.length)];
      return;
    }
    throw this.mismatch(`${side} received something else\n${hexColumns(wanted, received)}\n`);
  }

  #skipTo(wanted: (line: Line) => boolean): Line | undefined {
    const found = this.#lines.findIndex((line, at) => at >= this.#at && wanted(line));
    const end = found < 0 ? this.#lines.length : found;
    for (; this.#at < end; this.#at += 1) {
      const line = this.#lines[this.#at];
      if (line?.is !== 'receives') continue;
      const received = Buffer.concat(this.#outbox[line.side]);
      this.#outbox[line.side] = [];
      if (typeof line.expected === 'function') line.expected(received);
    }
    this.#at = Math.min(end + 1, this.#lines.length);
    return this.#lines[found];
  }

  /** What is still arriving has arrived. */
  #flush(feed: (side: Side, bytes: Buffer) => void): void {
    if (this.#arriving !== undefined) feed(this.#arriving.side, this.#arriving.bytes);
    this.#arriving = undefined;
  }

  #chunk(side: Side, chunkBytes: number): Buffer | undefined {
    const arriving = this.#arriving;
    if (arriving?.side !== side || arriving.bytes.length === 0) return undefined;
    const chunk = arriving.bytes.subarray(0, chunkBytes);
    arriving.bytes = arriving.bytes.subarray(chunk.length);
    return chunk;
  }

  #bytes(sent: Sent): Buffer {
    return bytesOf(typeof sent === 'function' ? sent() : sent);
  }
}

function bytesOf(bytes: Uint8Array | string): Buffer {
  return typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes);
}

function stalled(side: Side): SidecarError {
  return new SidecarError(side === 'downstream' ? 'login-timeout' : 'upstream-timeout');
}

function wordsOf(step: StepOf<Question>): string {
  switch (step.do) {
    case 'dial':
      return `dial ${'path' in step.address ? step.address.path : `${step.address.host}:${step.address.port}`}`;
    case 'startTls':
      return `startTls ${step.side}`;
    case 'authorize':
      return `authorize ${JSON.stringify(step.facts)}`;
    case 'reauthorize':
      return 'reauthorize';
    default:
      return step satisfies never;
  }
}

function said(line: Line): string {
  switch (line.is) {
    case 'answers':
      return line.words;
    case 'sends':
      return `${line.side} sends ${sized(line.sent)}`;
    case 'receives':
      return `${line.side} receives ${sized(line.expected)}`;
    case 'ends':
    case 'stalls':
      return `${line.side} ${line.is}`;
    default:
      return line satisfies never;
  }
}

function sized(bytes: Sent | Expected): string {
  return typeof bytes === 'function' ? 'what a function says' : `${bytesOf(bytes).length} bytes`;
}
