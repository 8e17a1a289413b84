import { createHash, createHmac } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { EventChain } from '../sign/event-chain.ts';
import { SigningKey } from '../sign/key.ts';
import { BodyProblem } from './body-problem.ts';
import { resignEvents } from './event-resign.ts';

/** Bodies of event streams that somebody changed, of four frames each. More by `EVENT_FUZZ_RUNS=1000000`. */
const RUNS = Number(process.env['EVENT_FUZZ_RUNS'] ?? 25_000);
const SCOPE = { date: '20260102', region: 'eu-west-1', service: 'transcribe' };
const SCOPE_TEXT = '20260102/eu-west-1/transcribe/aws4_request';
const SENT = new Date('2026-01-02T03:04:06.789Z');
const NOW = new Date('2026-01-02T03:04:07.123Z');
const SEED = 'a'.repeat(64);

/** A generator of numbers with a seed, so that a failure comes back. */
let state = 20260102;
function below(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

const PAYLOADS = [Buffer.from('one'), Buffer.alloc(100, 7), Buffer.from('{"a":1}'), Buffer.alloc(0)];

/** What the holder of a secret sends, from the specification alone. */
function framesOf(secret: string, time: Date): Buffer[] {
  const hmac = (key: string | Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const key = SCOPE_TEXT.split('/').reduce<string | Uint8Array>(hmac, `AWS4${secret}`);
  const date = Buffer.from(`053a6461746508${time.getTime().toString(16).padStart(16, '0')}`, 'hex');
  const stamp = time.toISOString().replace(/[-:]|\.\d+/g, '');
  let previous = SEED;
  return PAYLOADS.map((payload) => {
    const text = ['AWS4-HMAC-SHA256-PAYLOAD', stamp, SCOPE_TEXT, previous, sha256(date), sha256(payload)].join('\n');
    const signature = hmac(key, text);
    previous = signature.toString('hex');
    const name = Buffer.from('\x10:chunk-signature\x06\x00\x20', 'latin1');
    return sealed(Buffer.concat([Buffer.alloc(12), date, name, signature, payload, Buffer.alloc(4)]), 67);
  });
}

function sealed(frame: Buffer, headers: number): Buffer {
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(headers, 4);
  return withChecksums(frame);
}

function withChecksums(frame: Buffer): Buffer {
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  frame.writeUInt32BE(crc32(frame.subarray(0, -4)), frame.length - 4);
  return frame;
}

const AGENTS = framesOf('dummy', SENT);
const EXPECTED = framesOf('real', NOW);
const STRANGERS = framesOf('stranger', SENT);

/** One change of the frames, by somebody who can write checksums but does not have the key. */
const CHANGES: readonly ((frames: Buffer[]) => void)[] = [
  // A bit, with checksums as they were, and with right ones.
  (frames) => void flip(frames[below(4)]!),
  (frames) => {
    const frame = frames[below(4)]!;
    flip(frame);
    if (frame.length >= 16) withChecksums(frame);
  },
  // Lengths that lie.
  (frames) => void withChecksums(lying(frames[below(4)]!, 0)),
  (frames) => void withChecksums(lying(frames[below(4)]!, 4)),
  // A payload that is longer, or another one, under the same signature.
  (frames) => {
    const at = below(4);
    const frame = frames[at]!;
    const payload = Buffer.alloc(below(40), 1);
    frames[at] = sealed(Buffer.concat([frame.subarray(0, 79), payload, Buffer.alloc(4)]), 67);
  },
  // Frames left out, twice, in another order, of somebody else.
  (frames) => void frames.splice(below(4), 1),
  (frames) => void frames.splice(below(4), 0, Buffer.from(frames[below(4)]!)),
  (frames) => void frames.push(...frames.splice(below(3), 1)),
  (frames) => {
    const at = below(4);
    frames[at] = Buffer.from(STRANGERS[at]!);
  },
  // Bytes put in, taken out, at the end.
  (frames) => void frames.splice(below(5), 0, Buffer.alloc(1 + below(30), below(256))),
  (frames) => {
    const at = below(4);
    frames[at] = frames[at]!.subarray(0, below(frames[at]!.length));
  },
  (frames) => void frames.splice(1 + below(3)),
];

function flip(frame: Buffer): void {
  frame[below(frame.length)]! ^= 1 << below(8);
}

function lying(frame: Buffer, at: number): Buffer {
  const right = frame.readUInt32BE(at);
  const wrong = [right - 1, right + 1, 0, 15, 16, 0x1000000, 0x1800000, 0xffffffff][below(8)]!;
  frame.writeUInt32BE(wrong >>> 0, at);
  return frame;
}

async function* inPieces(body: Buffer): AsyncGenerator<Buffer> {
  const size = below(16) === 0 ? 1 : [40, 83, 1000][below(3)]!;
  for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
}

test(`no frame of ${RUNS} changed bodies goes out but those that the agent signed, signed anew`, async () => {
  const [inboundKey, outboundKey] = ['dummy', 'real'].map((secret) => SigningKey.derive(Buffer.from(secret), SCOPE));
  const counts = { whole: 0, refused: 0, frames: 0 };
  for (let run = 0; run < RUNS; run += 1) {
    const frames = AGENTS.map((frame) => Buffer.from(frame));
    CHANGES[below(CHANGES.length)]!(frames);
    const body = Buffer.concat(frames);
    const chain = new EventChain([inboundKey!], SEED);
    const resigning = {
      inbound: { chain, headTime: SENT },
      outbound: new EventChain([outboundKey!], SEED),
      now: () => NOW,
    };
    let out = 0;
    try {
      for await (const frame of resignEvents(inPieces(body), resigning)) {
        if (!EXPECTED[out]?.equals(Buffer.from(frame))) throw new Error(`run ${run}: another frame at ${out}`);
        out += 1;
      }
      // Whole only where nothing was changed in the end.
      if (!body.equals(Buffer.concat(AGENTS))) throw new Error(`run ${run}: a changed body passed`);
      counts.whole += 1;
    } catch (thrown) {
      if (!(thrown instanceof BodyProblem)) throw thrown;
      counts.refused += 1;
    }
    counts.frames += out;
  }
  expect(counts.whole + counts.refused).toBe(RUNS);
  expect(counts.refused).toBeGreaterThan(0.9 * RUNS);
  expect(counts.frames).toBeGreaterThan(RUNS / 2);
}, 120_000);
