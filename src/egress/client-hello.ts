import { parseHello } from './client-hello-body.ts';

/** What a TLS client says of itself before it is answered. */
export interface ClientHello {
  /** As `parseHost` returns it; a name, never an address. */
  readonly serverName?: string;
  /** Protocols in the client's order (RFC 7301), a character for each byte. */
  readonly alpn: readonly string[];
  /** True where it has an encrypted hello with it, which may name another host, or be made up. */
  readonly ech: boolean;
  /** Versions it can speak, in its order (0x0304 is TLS 1.3). */
  readonly versions: readonly number[];
}

export type HelloReading =
  { readonly need: 'more' } | { readonly hello: ClientHello } | { /** For the log. */ readonly problem: string };

/** Bytes up to the end of the hello, with the heads of its records. Post-quantum key shares make 2 KiB of it. */
export const HELLO_BYTES_MAX = 65_536;

/** RFC 8446 section 5.1. */
const RECORD_HEAD_BYTES = 5;
const RECORD_BYTES_MAX = 16_384;
const HANDSHAKE_HEAD_BYTES = 4;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const NOTHING = Buffer.alloc(0);
const FIRST_BUFFER_BYTES = 2_048;
const TOO_LONG = 'the hello is over 64 KiB';

/** Reads a ClientHello as its bytes come in, in pieces of any size. Never throws. */
export class HelloReader {
  #buffer = NOTHING;
  #length = 0;
  /** Where the next record begins. */
  #record = 0;
  /** Bytes of the handshake message in whole records so far. */
  #gathered = 0;
  #fragments: { readonly start: number; readonly end: number }[] = [];
  #reading: HelloReading = { need: 'more' };

  /** All that was pushed, as it came: for whoever speaks TLS next. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** What follows a hello or a problem is kept, and not looked at. */
  push(chunk: Uint8Array): HelloReading {
    this.#keep(chunk);
    if ('need' in this.#reading) this.#reading = this.#read();
    return this.#reading;
  }

  #keep(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(length, 2 * this.#buffer.length, FIRST_BUFFER_BYTES));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length = length;
  }

  #read(): HelloReading {
    for (;;) {
      const head = this.bytes.subarray(this.#record, this.#record + RECORD_HEAD_BYTES);
      const problem = headProblem(head);
      if (problem !== undefined) return { problem };
      if (head.length < RECORD_HEAD_BYTES) return { need: 'more' };
      const start = this.#record + RECORD_HEAD_BYTES;
      const end = start + head.readUInt16BE(3);
      if (end > HELLO_BYTES_MAX) return { problem: TOO_LONG };
      if (end > this.#length) return this.#fragments.length === 0 ? this.#peek(start) : { need: 'more' };
      this.#fragments.push({ start, end });
      this.#gathered += end - start;
      this.#record = end;
      const reading = this.#message();
      if (!('need' in reading)) return reading;
    }
  }

  /** What the first bytes of the first record say before the rest of it is there. */
  #peek(start: number): HelloReading {
    const problem = messageProblem(this.bytes.subarray(start, start + HANDSHAKE_HEAD_BYTES));
    return problem === undefined ? { need: 'more' } : { problem };
  }

  #message(): HelloReading {
    if (this.#gathered < HANDSHAKE_HEAD_BYTES) return { need: 'more' };
    const head = this.#gather(HANDSHAKE_HEAD_BYTES);
    const problem = messageProblem(head);
    if (problem !== undefined) return { problem };
    const length = HANDSHAKE_HEAD_BYTES + head.readUIntBE(1, 3);
    if (this.#gathered < length) return { need: 'more' };
    // A client has nothing more to say before it is answered (RFC 8446 section 4.1.1).
    if (this.#gathered > length) return { problem: 'bytes behind the hello in its record' };
    return parseHello(this.#gather(length).subarray(HANDSHAKE_HEAD_BYTES));
  }

  /** The first bytes of the message; a copy only where they are spread over records. */
  #gather(length: number): Buffer {
    const [first] = this.#fragments;
    if (first!.end - first!.start >= length) return this.#buffer.subarray(first!.start, first!.start + length);
    const parts: Buffer[] = [];
    let missing = length;
    for (const { start, end } of this.#fragments) {
      if (missing <= 0) break;
      parts.push(this.#buffer.subarray(start, Math.min(end, start + missing)));
      missing -= end - start;
    }
    return Buffer.concat(parts, length);
  }
}

/** As much of the head of a record as is there. */
function headProblem(head: Buffer): string | undefined {
  const [type, major] = head;
  if (type === undefined) return undefined;
  // SSLv2 says its length first, with the highest bit set (RFC 5246 appendix E.2).
  if (type !== HANDSHAKE) return (type & 0x80) === 0 ? 'not a TLS handshake' : 'not TLS, or an SSLv2 hello';
  if (major !== undefined && major !== 3) return 'not a version of TLS';
  if (head.length < RECORD_HEAD_BYTES) return undefined;
  const length = head.readUInt16BE(3);
  if (length === 0) return 'an empty record';
  return length > RECORD_BYTES_MAX ? 'a record over its limit' : undefined;
}

/** As much of the head of the message as is there. */
function messageProblem(head: Buffer): string | undefined {
  const [type] = head;
  if (type !== undefined && type !== CLIENT_HELLO) return 'no hello comes first';
  if (head.length < HANDSHAKE_HEAD_BYTES) return undefined;
  return HANDSHAKE_HEAD_BYTES + head.readUIntBE(1, 3) > HELLO_BYTES_MAX ? TOO_LONG : undefined;
}
