import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { AwsChunkedReader, decodeAwsChunked } from '../body/aws-chunked-reader.ts';
import { encodeAwsChunked } from '../body/aws-chunked-writer.ts';
import { SignatureChain } from '../sign/chain.ts';
import { signChunk } from '../sign/chunk-chain.ts';
import { SigningKey } from '../sign/key.ts';
import { chunkFields } from './chunk-fields.ts';
import type { ChunkPlan } from './plan.ts';
import { rechunk } from './rechunk.ts';

const SCOPE = { date: '20260102', region: 'eu-west-1', service: 's3' };
const DATE = '20260102T030405Z';
const AGENT = SigningKey.derive(Buffer.from('what the agent was given'), SCOPE);
const REAL = SigningKey.derive(Buffer.from('the real one'), SCOPE);
const SEED = { agent: 'a'.repeat(64), real: 'b'.repeat(64) };
const PAYLOAD = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 31) & 0xff));
const CRC = Buffer.alloc(4);
CRC.writeUInt32BE(crc32(PAYLOAD));
const TRAILER = ['x-amz-checksum-crc32', CRC.toString('base64')] as const;
const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';

const agentChain = () => new SignatureChain(AGENT, DATE, SEED.agent);
const realChain = () => new SignatureChain(REAL, DATE, SEED.real);

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function gather(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** What a client sends, signed with the key of the agent. */
function sent(trailers?: readonly string[], signed = true): Promise<Buffer> {
  return gather(
    encodeAwsChunked(cut(PAYLOAD, 50_000), {
      decodedLength: PAYLOAD.length,
      ...(signed ? { chain: agentChain() } : {}),
      ...(trailers === undefined ? {} : { trailers: () => trailers }),
    }),
  );
}

function planOf(
  writes: ChunkPlan['writes'],
  withTrailer: boolean,
  signatures: ChunkPlan['signatures'] = 'hmac',
): ChunkPlan {
  return {
    kind: 'chunks',
    signatures,
    decodedLength: PAYLOAD.length,
    trailers: withTrailer ? [TRAILER[0]] : undefined,
    writes,
  };
}

function run(plan: ChunkPlan, wire: Uint8Array, size = 1000) {
  const downstream = plan.signatures === 'hmac' ? agentChain() : undefined;
  const upstream = plan.writes.startsWith(SIGNED) ? realChain() : undefined;
  const changed = rechunk(plan, { downstream, upstream });
  return {
    bytes: changed.bytes,
    whole: () => gather(changed.transform(cut(wire, size))),
    pieces: () => changed.transform(cut(wire, size)),
  };
}

/** What an upstream that verifies makes of it. */
function received(wire: Uint8Array, writes: string, key = realChain()): Promise<Buffer> {
  const trailers = writes.endsWith('-TRAILER') ? [TRAILER[0]] : undefined;
  const signed = writes.startsWith(SIGNED);
  const reader = new AwsChunkedReader({
    signatures: signed ? 'hmac' : 'none',
    decodedLength: PAYLOAD.length,
    ...(trailers === undefined ? {} : { trailers }),
    ...(signed ? { chain: key } : {}),
  });
  return gather(decodeAwsChunked(cut(wire, 4096), reader));
}

describe('a body that is taken apart and put together anew', () => {
  test.each([
    [SIGNED, false, SIGNED],
    [SIGNED_TRAILER, true, SIGNED_TRAILER],
    [SIGNED_TRAILER, true, SIGNED],
    [SIGNED_TRAILER, true, 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'],
  ] as const)('%s (trailer %s) verifies upstream as %s, in the length told before', async (_, trailer, writes) => {
    const { bytes, whole } = run(planOf(writes, trailer), await sent(trailer ? TRAILER : undefined));
    const wire = await whole();
    expect(wire.length).toBe(bytes);
    expect((await received(wire, writes)).equals(PAYLOAD)).toBe(true);
    if (writes !== 'STREAMING-UNSIGNED-PAYLOAD-TRAILER')
      await expect(received(wire, writes, agentChain())).rejects.toThrow('signature');
  });

  test.each([
    ['hmac', true],
    ['hmac', false],
    ['none', true],
  ] as const)('from %s chunks (trailer %s) to a plain body has exactly its bytes', async (signatures, trailer) => {
    const wire = await sent(trailer ? TRAILER : undefined, signatures === 'hmac');
    const { bytes, whole } = run(planOf('UNSIGNED-PAYLOAD', trailer, signatures), wire);
    expect(bytes).toBe(PAYLOAD.length);
    expect((await whole()).equals(PAYLOAD)).toBe(true);
  });

  /** A body that is known to be wrong must not be complete upstream, whatever its framing. */
  async function expectCut(plan: ChunkPlan, wire: Uint8Array): Promise<void> {
    const { bytes, pieces } = run(plan, wire);
    let sentOn = 0;
    const all = (async () => {
      for await (const piece of pieces()) sentOn += piece.length;
    })();
    await expect(all).rejects.toMatchObject({ code: 'body-malformed' });
    expect(sentOn).toBeLessThan(bytes!);
  }

  test.each([SIGNED, 'UNSIGNED-PAYLOAD'] as const)(
    'with one wrong digit in the last chunk signature is cut (%s)',
    async (writes) => {
      const wire = await sent();
      const at =
        wire.lastIndexOf('chunk-signature=', wire.lastIndexOf('chunk-signature=') - 1) + 'chunk-signature='.length;
      wire[at] = wire[at] === 0x61 ? 0x62 : 0x61;
      await expectCut(planOf(writes, false), wire);
    },
  );

  test.each([
    [SIGNED, 'hmac'],
    ['UNSIGNED-PAYLOAD', 'hmac'],
    ['UNSIGNED-PAYLOAD', 'none'],
  ] as const)('whose checksum is left out and wrong is cut (%s from %s)', async (writes, signatures) => {
    const wire = await sent([TRAILER[0], 'AAAAAA=='], signatures === 'hmac');
    await expectCut(planOf(writes, true, signatures), wire);
  });

  test('that ends early is cut', async () => {
    const wire = await sent();
    await expectCut(planOf(SIGNED, false), wire.subarray(0, wire.length - 10));
    await expectCut(planOf('UNSIGNED-PAYLOAD', false), wire.subarray(0, wire.length - 10));
  });

  test('without framing is refused and not guessed at', async () => {
    await expectCut(planOf(SIGNED, false), createHash('sha256').update('no framing').digest());
  });

  test('whose reader goes away ends the client’s side too', async () => {
    let ended = false;
    async function* source(): AsyncGenerator<Uint8Array, void> {
      try {
        yield* cut(await sent(), 1000);
      } finally {
        ended = true;
      }
    }
    const changed = rechunk(planOf(SIGNED, false), { downstream: agentChain(), upstream: realChain() });
    const iterator = changed.transform(source())[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.return!();
    expect(ended).toBe(true);
  });
});

describe('the fields of such a body', () => {
  const headers = [
    'Content-Encoding',
    'gzip, aws-chunked',
    'X-Amz-Decoded-Content-Length',
    '5',
    'X-Amz-Trailer',
    TRAILER[0],
    'x-amz-sdk-checksum-algorithm',
    'CRC32',
    'x-amz-meta-a',
    'b',
  ];

  test('stay where it is framed as before', () => {
    expect(chunkFields(headers, planOf(SIGNED_TRAILER, true))).toEqual(headers);
  });

  test('lose the trailer where that is left out', () => {
    expect(chunkFields(headers, planOf(SIGNED, true))).toEqual([...headers.slice(0, 4), 'x-amz-meta-a', 'b']);
  });

  test('lose the framing where it is plain, and keep what else was coded', () => {
    expect(chunkFields(headers, planOf('UNSIGNED-PAYLOAD', true))).toEqual([
      'Content-Encoding',
      'gzip',
      'x-amz-meta-a',
      'b',
    ]);
    expect(chunkFields(['content-encoding', 'aws-chunked'], planOf('UNSIGNED-PAYLOAD', false))).toEqual([]);
  });
});

describe('chunks whose borders are those of the agent', () => {
  /** A client's own sizes. */
  async function sentAs(sizes: readonly number[]): Promise<Buffer> {
    const chain = agentChain();
    const parts: (Buffer | string)[] = [];
    let at = 0;
    for (const size of [...sizes, 0]) {
      const bytes = PAYLOAD.subarray(at, at + size);
      at += size;
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      parts.push(`${size.toString(16)};chunk-signature=${signChunk(chain, sha256)}\r\n`, bytes, '\r\n');
    }
    return Buffer.concat(parts.map((part) => Buffer.from(part)));
  }

  const KIB = 1024;
  test.each([
    ['all agree', [64 * KIB, 64 * KIB, 64 * KIB, 200_000 - 192 * KIB]],
    ['the first agrees, the rest is shifted', [64 * KIB, 8 * KIB, 64 * KIB, 200_000 - 136 * KIB]],
    ['only the last agrees', [100_000, 92 * KIB + 8, 192 * KIB - 100_000 - 92 * KIB - 8, 200_000 - 192 * KIB]],
    ['none agrees', [50_000, 50_000, 50_000, 50_000]],
    ['one chunk holds all', [200_000]],
  ])('are hashed once, and what arrives verifies: %s', async (_, sizes) => {
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(PAYLOAD.length);
    const wire = await sentAs(sizes);
    for (const size of [1, 777, 64 * KIB, wire.length]) {
      const arrived = await run(planOf(SIGNED, false), wire, size).whole();
      expect((await received(arrived, SIGNED)).equals(PAYLOAD)).toBe(true);
      if (size === 1) continue;
      const spoilt = Buffer.from(wire);
      spoilt[spoilt.indexOf('\r\n') + 100]! ^= 1;
      await expect(run(planOf(SIGNED, false), spoilt, size).whole()).rejects.toMatchObject({ code: 'body-malformed' });
    }
  });
});
