import { describe, expect, test } from 'vitest';
import { BodyProblem } from './body-problem.ts';
import {
  decodeFrame,
  encodeFrame,
  type EventHeader,
  EVENT_FRAME_BYTES_MAX,
  FrameReader,
  sealFrame,
} from './event-stream.ts';

const header = (name: string, type: number, hex: string): EventHeader => ({
  name,
  type,
  value: Buffer.from(hex, 'hex'),
});
/** One of each type (Smithy 2.0 specification, "Amazon Event Stream Specification"). */
const EVERY: readonly EventHeader[] = [
  header('t', 0, ''),
  header('f', 1, ''),
  header('byte', 2, 'ff'),
  header('short', 3, '0102'),
  header('integer', 4, '01020304'),
  header('long', 5, '0102030405060708'),
  header('bytes', 6, 'c0ffee'),
  header('string', 7, Buffer.from('höhe').toString('hex')),
  header('timestamp', 8, '0000000000000001'),
  header('uuid', 9, '00112233445566778899aabbccddeeff'),
];
function codeOf(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof BodyProblem) return error.code;
    throw error;
  }
  return undefined;
}

describe('a frame', () => {
  test('comes back as it went, with every type of header', () => {
    const { headers, payload } = decodeFrame(encodeFrame(EVERY, Buffer.from('{"a":1}')));
    expect(headers).toEqual(EVERY);
    expect(payload.toString()).toBe('{"a":1}');
  });

  test('is the one of the specification’s test vectors', () => {
    // aws-c-event-stream, "empty message" and "payload no headers": independent of this encoder.
    expect(encodeFrame([], Buffer.alloc(0)).toString('hex')).toBe('000000100000000005c248eb7d98c8ff');
    expect(encodeFrame([], Buffer.from("{'foo':'bar'}")).toString('hex')).toBe(
      '0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936',
    );
  });

  test('with any bit changed is refused', () => {
    const frame = encodeFrame(EVERY.slice(6, 8), Buffer.from('payload'));
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const wrong = Buffer.from(frame);
      wrong[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeFrame(wrong), `bit ${bit}`).toThrow(BodyProblem);
    }
  });

  test.each([
    ['a value longer than the headers', '0161070005aa'],
    ['a name longer than the headers', '05616263'],
    ['an unknown type', '01610a'],
    ['an empty name', '0000'],
    ['a length cut in two', '01610700'],
  ])('is refused with %s', (_, hex) => {
    const frame = encodeFrame([], Buffer.from(hex, 'hex'));
    frame.writeUInt32BE(hex.length / 2, 4);
    frame.writeUInt32BE(crcOf(frame.subarray(0, 8)), 8);
    sealFrame(frame);
    expect(codeOf(() => decodeFrame(frame))).toBe('malformed-framing');
  });
});

describe('a stream of frames', () => {
  const frames = [
    encodeFrame(EVERY, Buffer.alloc(100, 1)),
    encodeFrame([], Buffer.alloc(0)),
    encodeFrame([], Buffer.alloc(70_000, 2)),
  ];
  const bytes = Buffer.concat(frames);

  test.each([1, 11, 12, 13, 1000, 1_000_000])('is cut into its frames from pieces of %i bytes', (size) => {
    const reader = new FrameReader();
    const found: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) found.push(...reader.feed(bytes.subarray(at, at + size)));
    reader.end();
    expect(found.map((frame, at) => frame.equals(frames[at]!))).toEqual([true, true, true]);
  });

  test('that ends within a frame is refused', () => {
    for (const length of [1, 11, 12, 50]) {
      const reader = new FrameReader();
      void [...reader.feed(bytes.subarray(0, length))];
      expect(codeOf(() => reader.end())).toBe('truncated');
    }
  });

  test('P9: a frame that is too long is refused at its prelude', () => {
    const prelude = (length: number, headers: number): Buffer => {
      const start = Buffer.alloc(12);
      start.writeUInt32BE(length, 0);
      start.writeUInt32BE(headers, 4);
      start.writeUInt32BE(crcOf(start.subarray(0, 8)), 8);
      return start;
    };
    const feed = (start: Buffer) => codeOf(() => [...new FrameReader().feed(start)]);
    expect(feed(prelude(EVENT_FRAME_BYTES_MAX + 1, 0))).toBe('too-long');
    expect(feed(prelude(1_000_000, 200_000))).toBe('too-long');
    expect(feed(prelude(20, 5))).toBe('malformed-framing');
    expect(feed(prelude(15, 0))).toBe('malformed-framing');
    expect(feed(Buffer.alloc(12, 1))).toBe('malformed-framing');
  });
});

/** CRC-32 of IEEE 802.3, bit by bit. */
function crcOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
