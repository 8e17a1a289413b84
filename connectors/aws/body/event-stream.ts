import { crc32 } from 'node:zlib';
import { BodyProblem } from './body-problem.ts';

/**
 * Frames of `application/vnd.amazon.eventstream` (Smithy 2.0 specification, "Amazon Event Stream Specification"), all
 * numbers big-endian:
 *
 *     total length (4) | headers length (4) | CRC-32 of these (4) | headers | payload | CRC-32 of all before (4)
 */

/** Longest payload is 24 MiB in the specification; services take up to 16 MiB. */
export const EVENT_FRAME_BYTES_MAX = 24 * 1024 * 1024;
export const EVENT_HEADERS_BYTES_MAX = 128 * 1024;
const PRELUDE_BYTES = 12;
const CRC_BYTES = 4;
/** Lengths of header values by type; -1 where two bytes of length come first. */
const VALUE_BYTES: readonly number[] = [0, 0, 1, 2, 4, 8, -1, -1, 8, 16];

export interface EventHeader {
  readonly name: string;
  /** 0 true, 1 false, 2 byte, 3 short, 4 integer, 5 long, 6 bytes, 7 string, 8 timestamp, 9 UUID. */
  readonly type: number;
  /** The value's bytes, without a length: a view of the frame. */
  readonly value: Buffer;
}

export interface EventFrame {
  readonly headers: readonly EventHeader[];
  /** A view of the frame. */
  readonly payload: Buffer;
}

/** Reads one whole frame; both checksums must hold. Errors: `malformed-framing`, `too-long`. */
export function decodeFrame(frame: Buffer): EventFrame {
  if (frame.length < PRELUDE_BYTES + CRC_BYTES) throw malformed('a frame is too short');
  const headersEnd = PRELUDE_BYTES + checkPrelude(frame);
  const crcAt = frame.length - CRC_BYTES;
  if (frame.readUInt32BE(0) !== frame.length) throw malformed('a frame does not have its length');
  if (crc32(frame.subarray(0, crcAt)) !== frame.readUInt32BE(crcAt))
    throw malformed('the checksum of a frame is wrong');
  return { headers: decodeHeaders(frame, PRELUDE_BYTES, headersEnd), payload: frame.subarray(headersEnd, crcAt) };
}

/** Writes one frame. */
export function encodeFrame(headers: readonly EventHeader[], payload: Uint8Array): Buffer {
  const encoded = headers.flatMap(({ name, type, value }) => {
    const length = VALUE_BYTES[type] === -1 ? [value.length >> 8, value.length & 0xff] : [];
    return [Buffer.from([Buffer.byteLength(name)]), Buffer.from(name), Buffer.from([type, ...length]), value];
  });
  const headersLength = encoded.reduce((sum, part) => sum + part.length, 0);
  const prelude = Buffer.alloc(PRELUDE_BYTES);
  const frame = Buffer.concat([prelude, ...encoded, payload, Buffer.alloc(CRC_BYTES)]);
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(headersLength, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  sealFrame(frame);
  return frame;
}

/** Writes the checksum of a frame whose headers or payload were changed in place. */
export function sealFrame(frame: Buffer): void {
  const crcAt = frame.length - CRC_BYTES;
  frame.writeUInt32BE(crc32(frame.subarray(0, crcAt)), crcAt);
}

/** Cuts a stream into frames. Memory follows what arrived, not what a prelude announces. */
export class FrameReader {
  readonly #bytesMax: number;
  #frame = Buffer.allocUnsafe(PRELUDE_BYTES);
  #filled = 0;
  /** Length of the frame, once its prelude is read. */
  #length = 0;

  constructor(bytesMax = EVENT_FRAME_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** Yields whole frames, each in a buffer of its own. Errors: `malformed-framing`, `too-long`. */
  *feed(bytes: Uint8Array): Generator<Buffer, void> {
    let rest = bytes;
    while (rest.length > 0) {
      const wanted = this.#length === 0 ? PRELUDE_BYTES : this.#length;
      const part = rest.subarray(0, wanted - this.#filled);
      this.#append(part, wanted);
      rest = rest.subarray(part.length);
      if (this.#filled < wanted) return;
      if (this.#length === 0) {
        this.#length = this.#readPrelude();
        continue;
      }
      const whole = this.#frame.subarray(0, this.#length);
      this.#frame = Buffer.allocUnsafe(PRELUDE_BYTES);
      this.#filled = 0;
      this.#length = 0;
      yield whole;
    }
  }

  /** Says that nothing more comes. Errors: `truncated`. */
  end(): void {
    if (this.#filled > 0) throw new BodyProblem('truncated', 'the body ends within a frame');
  }

  #readPrelude(): number {
    const length = this.#frame.readUInt32BE(0);
    if (length > this.#bytesMax) throw new BodyProblem('too-long', 'a frame is longer than is taken');
    const headers = checkPrelude(this.#frame);
    if (length < PRELUDE_BYTES + headers + CRC_BYTES) throw malformed('a frame is shorter than its headers');
    return length;
  }

  /** Doubles the buffer as bytes come, so that twelve bytes cannot claim 24 MiB. */
  #append(part: Uint8Array, wanted: number): void {
    const filled = this.#filled + part.length;
    if (filled > this.#frame.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(wanted, Math.max(2 * this.#frame.length, filled)));
      grown.set(this.#frame.subarray(0, this.#filled));
      this.#frame = grown;
    }
    this.#frame.set(part, this.#filled);
    this.#filled = filled;
  }
}

/** Length of the headers. */
function checkPrelude(frame: Buffer): number {
  if (crc32(frame.subarray(0, 8)) !== frame.readUInt32BE(8)) throw malformed('the checksum of a prelude is wrong');
  const headers = frame.readUInt32BE(4);
  if (headers > EVENT_HEADERS_BYTES_MAX) throw new BodyProblem('too-long', 'the headers of a frame are too long');
  return headers;
}

function decodeHeaders(frame: Buffer, start: number, end: number): EventHeader[] {
  if (end > frame.length - CRC_BYTES) throw malformed('a frame is shorter than its headers');
  const headers: EventHeader[] = [];
  let at = start;
  const take = (count: number): Buffer => {
    if (count > end - at) throw malformed('a header of a frame is cut');
    at += count;
    return frame.subarray(at - count, at);
  };
  while (at < end) {
    const name = take(take(1)[0]!).toString('utf8');
    const type = take(1)[0]!;
    const length = VALUE_BYTES[type];
    if (name === '' || length === undefined) throw malformed('a header of a frame has no name or an unknown type');
    headers.push({ name, type, value: take(length < 0 ? take(2).readUInt16BE(0) : length) });
  }
  return headers;
}

function malformed(message: string): BodyProblem {
  return new BodyProblem('malformed-framing', message);
}
