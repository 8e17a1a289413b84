import { describe, expect, test } from 'vitest';
import { SignatureChain } from '../sign/chain.ts';
import { dateHeader, signEvent } from '../sign/event-chain.ts';
import { SigningKey } from '../sign/key.ts';
import { BodyProblem } from './body-problem.ts';
import { resignEvents } from './event-resign.ts';
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

/** Signed with the secret `dummy` by the AWS SDK for JavaScript (`@smithy/signature-v4` 5.7.5, event-stream codec). */
const SDK_FRAMES = [
  '0000007a000000433995372d053a64617465080000019b7ca99070103a6368756e6b2d7369676e617475726506002085bee295f8087ee17df1955e7a4c74dbfb9601b74fd35b6de3abf1fc92254c7100000027000000140c19f8000b3a6576656e742d747970650700056368756e6b6f6e656b48e2c7c896e518',
  '0000007a000000433995372d053a64617465080000019b7ca99458103a6368756e6b2d7369676e6174757265060020ad145364c929cff2a029b12fb3eed0b8e10626553fa16be893bdfa0f14dedf5000000027000000140c19f8000b3a6576656e742d747970650700056368756e6b74776f00eeee50a30782ef',
  '0000005300000043f5447a58053a64617465080000019b7ca99840103a6368756e6b2d7369676e6174757265060020f9d813316227a725b19d95f91322df7c00460aa10fc64ada8e2c565a434dbf2fc763ee7a',
];

describe('re-signing events', () => {
  const scope = { date: '20260102', region: 'eu-west-1', service: 'bedrock' };
  const DATE = '20260102T030405Z';
  const chain = (secret: string): SignatureChain =>
    new SignatureChain(SigningKey.derive(Buffer.from(secret), scope), DATE, 'a'.repeat(64));
  const sent = new Date('2026-01-02T03:04:06.789Z');
  const inner = encodeFrame([header(':event-type', 7, '6368756e6b')], Buffer.from('audio'));
  const signedFrames = (by: SignatureChain, payloads: readonly Buffer[], time = sent): Buffer[] =>
    payloads.map((payload) => {
      const signature = Buffer.from(signEvent(by, time, payload), 'hex');
      return encodeFrame(
        [
          { name: ':date', type: 8, value: dateHeader(time).subarray(7) },
          { name: ':chunk-signature', type: 6, value: signature },
        ],
        payload,
      );
    });
  const agentsBody = (): Buffer[] => signedFrames(chain('dummy'), [inner, inner, Buffer.alloc(0)]);
  async function* stream(frames: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    for (const frame of frames) yield frame;
  }
  const now = new Date('2026-01-02T03:04:07.000Z');
  async function resign(
    frames: readonly Uint8Array[],
    inbound: SignatureChain | undefined = chain('dummy'),
  ): Promise<Buffer[]> {
    const out: Buffer[] = [];
    const options = { outbound: chain('real'), now: () => now, ...(inbound && { inbound }) };
    for await (const frame of resignEvents(stream(frames), options)) out.push(Buffer.from(frame));
    return out;
  }

  test('makes the frames that the holder of the real secret would have sent, each as long as before', async () => {
    const agents = agentsBody();
    const resigned = await resign(agents);
    expect(resigned.map((frame) => frame.toString('hex'))).toEqual(
      signedFrames(chain('real'), [inner, inner, Buffer.alloc(0)], now).map((frame) => frame.toString('hex')),
    );
    expect(resigned.map(({ length }) => length)).toEqual(agents.map(({ length }) => length));
    expect(resigned.at(-1)).toHaveLength(83);
  });

  test('verifies the frames of the AWS SDK', async () => {
    const frames = SDK_FRAMES.map((hex) => Buffer.from(hex, 'hex'));
    const resigned = await resign(frames);
    expect(resigned.map(({ length }) => length)).toEqual(frames.map(({ length }) => length));
    expect(decodeFrame(decodeFrame(resigned[0]!).payload).payload.toString()).toBe('one');
  });

  test('leaves what came as it came', async () => {
    const agents = agentsBody();
    const before = agents.map((frame) => frame.toString('hex'));
    await resign(agents);
    expect(agents.map((frame) => frame.toString('hex'))).toEqual(before);
  });

  test('hands out each frame before the next one comes', async () => {
    let asked = 0;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (const frame of agentsBody()) {
        asked += 1;
        yield frame;
      }
    };
    for await (const _ of resignEvents(source(), { outbound: chain('real'), now: () => now })) break;
    expect(asked).toBe(1);
  });

  test.each([
    ['another secret', () => signedFrames(chain('another'), [inner, Buffer.alloc(0)]), 'signature-mismatch'],
    ['another order', () => agentsBody().toReversed(), 'signature-mismatch'],
    ['a frame less', () => agentsBody().slice(1), 'signature-mismatch'],
    ['no last frame', () => agentsBody().slice(0, 2), 'truncated'],
    ['a frame after the last', () => signedFrames(chain('dummy'), [Buffer.alloc(0), inner]), 'malformed-framing'],
    ['nothing', () => [], 'truncated'],
    ['a frame that is not signed', () => [inner], 'malformed-framing'],
    [
      'a date before all dates',
      () => [
        encodeFrame([header(':date', 8, 'ffffffffffffffff'), header(':chunk-signature', 6, '00'.repeat(32))], inner),
      ],
      'malformed-framing',
    ],
    [
      'a date after all dates',
      () => [
        encodeFrame([header(':date', 8, '7fffffffffffffff'), header(':chunk-signature', 6, '00'.repeat(32))], inner),
      ],
      'malformed-framing',
    ],
    [
      'a short signature',
      () => [encodeFrame([header(':date', 8, '00'.repeat(8)), header(':chunk-signature', 6, '00')], inner)],
      'malformed-framing',
    ],
    [
      'a header more',
      () => [
        encodeFrame(
          [header(':date', 8, '00'.repeat(8)), header(':chunk-signature', 6, '00'.repeat(32)), header('a', 0, '')],
          inner,
        ),
      ],
      'malformed-framing',
    ],
  ])('fails with %s', async (_, body, code) => {
    await expect(resign(body())).rejects.toMatchObject({ code });
  });

  test('overwrites both keys at the end', async () => {
    const [inbound, outbound] = [chain('dummy'), chain('real')];
    for await (const _ of resignEvents(stream(agentsBody()), { inbound, outbound, now: () => now }));
    expect(() => inbound.extend('PAYLOAD', '')).toThrow('wiped');
    expect(() => outbound.extend('PAYLOAD', '')).toThrow('wiped');
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
