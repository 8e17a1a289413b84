import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { dateHeader, daysOfEvents, EventChain } from '../sign/event-chain.ts';
import { SigningKey } from '../sign/key.ts';
import { type EventResigning, resignEvents } from './event-resign.ts';
import { decodeFrame, encodeFrame, type EventHeader } from './event-stream.ts';

const header = (name: string, type: number, hex: string): EventHeader => ({
  name,
  type,
  value: Buffer.from(hex, 'hex'),
});

/** Signed with the secret `dummy` by the AWS SDK for JavaScript (`@smithy/signature-v4` 5.7.5, event-stream codec). */
const SDK_FRAMES = [
  '0000007a000000433995372d053a64617465080000019b7ca99070103a6368756e6b2d7369676e617475726506002085bee295f8087ee17df1955e7a4c74dbfb9601b74fd35b6de3abf1fc92254c7100000027000000140c19f8000b3a6576656e742d747970650700056368756e6b6f6e656b48e2c7c896e518',
  '0000007a000000433995372d053a64617465080000019b7ca99458103a6368756e6b2d7369676e6174757265060020ad145364c929cff2a029b12fb3eed0b8e10626553fa16be893bdfa0f14dedf5000000027000000140c19f8000b3a6576656e742d747970650700056368756e6b74776f00eeee50a30782ef',
  '0000005300000043f5447a58053a64617465080000019b7ca99840103a6368756e6b2d7369676e6174757265060020f9d813316227a725b19d95f91322df7c00460aa10fc64ada8e2c565a434dbf2fc763ee7a',
];

describe('re-signing events', () => {
  const scope = { date: '20260102', region: 'eu-west-1', service: 'bedrock' };
  const headTime = new Date('2026-01-02T03:04:05Z');
  const chain = (secret: string, from = headTime): EventChain => {
    const keys = daysOfEvents(from).map((date) => SigningKey.derive(Buffer.from(secret), { ...scope, date }));
    return new EventChain(keys, 'a'.repeat(64));
  };
  const sent = new Date('2026-01-02T03:04:06.789Z');
  const inner = encodeFrame([header(':event-type', 7, '6368756e6b')], Buffer.from('audio'));
  const signedFrames = (by: EventChain, payloads: readonly Buffer[], time = sent): Buffer[] =>
    payloads.map((payload) => {
      const signature = Buffer.from(by.sign(time, hash('sha256', payload, 'hex'))!, 'hex');
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
  async function resign(frames: readonly Uint8Array[], more: Partial<EventResigning> = {}): Promise<Buffer[]> {
    const out: Buffer[] = [];
    const inbound = { chain: chain('dummy'), headTime };
    const options = { outbound: chain('real'), now: () => now, inbound, ...more };
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

  test('takes frames of one whom nobody knows for what they are, and still signs each', async () => {
    const frames = signedFrames(chain('another'), [inner, Buffer.alloc(0)]);
    const resigned = await resign(frames, { inbound: undefined });
    expect(resigned).toEqual(signedFrames(chain('real'), [inner, Buffer.alloc(0)], now));
    await expect(resign([inner], { inbound: undefined })).rejects.toMatchObject({ code: 'malformed-framing' });
  });

  test('goes on past midnight with the key of the next day, and no further', async () => {
    const late = new Date('2026-01-02T23:59:59Z');
    const options = (at: Date): Partial<EventResigning> => {
      const clock = [late, at, at];
      const inbound = { chain: chain('dummy', late), headTime: late };
      return { inbound, outbound: chain('real', late), now: () => clock.shift()! };
    };
    const after = new Date('2026-01-03T00:00:01Z');
    const agents = (at: Date): Buffer[] => signedFrames(chain('dummy', at), [inner, Buffer.alloc(0)], at);
    const resigned = await resign(agents(after), options(after));
    expect(resigned).toEqual(signedFrames(chain('real', after), [inner, Buffer.alloc(0)], after));
    const tooLate = new Date('2026-01-04T00:00:01Z');
    await expect(resign(agents(tooLate), options(tooLate))).rejects.toMatchObject({ code: 'too-long' });
    await expect(resign(agents(tooLate), { ...options(tooLate), inbound: undefined })).rejects.toMatchObject({
      code: 'too-long',
    });
  });

  test.each([
    ['16 minutes ahead of its time', 16, false],
    ['16 minutes behind it', -16, false],
    ['14 minutes ahead', 14, true],
  ])('with a date %s: %s', async (_, minutes, passes) => {
    const body = signedFrames(chain('dummy'), [Buffer.alloc(0)], new Date(headTime.getTime() + minutes * 60_000));
    const resigned = resign(body);
    if (passes) expect(await resigned).toHaveLength(1);
    else await expect(resigned).rejects.toMatchObject({ code: 'malformed-framing' });
  });

  test('holds the agent to the clock of its own head, however wrong that is', async () => {
    const wrong = new Date('2026-01-02T20:00:00Z');
    const body = signedFrames(chain('dummy', wrong), [Buffer.alloc(0)], new Date(wrong.getTime() + 1000));
    expect(await resign(body, { inbound: { chain: chain('dummy', wrong), headTime: wrong } })).toHaveLength(1);
  });

  test('dates each frame by the clock of the upstream', async () => {
    const upstreamTime = (at: Date): Date => new Date(at.getTime() + 7_200_000);
    const resigned = await resign(agentsBody(), { upstreamTime });
    expect(resigned).toEqual(signedFrames(chain('real'), [inner, inner, Buffer.alloc(0)], upstreamTime(now)));
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
    const options = { inbound: { chain: inbound, headTime }, outbound, now: () => now };
    for await (const _ of resignEvents(stream(agentsBody()), options));
    expect(() => inbound.sign(now, '')).toThrow('wiped');
    expect(() => outbound.sign(now, '')).toThrow('wiped');
  });
});
