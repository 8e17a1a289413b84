import { describe, expect, test } from 'vitest';
import { SignatureChain } from '../sign/chain.ts';
import { SigningKey } from '../sign/key.ts';
import { AwsChunkedReader, decodeAwsChunked } from './aws-chunked-reader.ts';
import { encodeAwsChunked, type WriteOptions } from './aws-chunked-writer.ts';
import { CHUNK_BYTES, chunkedLength } from './aws-chunked.ts';
import { BodyProblem } from './body-problem.ts';

const keyOf = (secret: string): SigningKey =>
  SigningKey.derive(Buffer.from(secret), { date: '20130524', region: 'us-east-1', service: 's3' });
const DATE = '20130524T000000Z';
const example = (seed: string): SignatureChain =>
  new SignatureChain(keyOf('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'), DATE, seed);
const SEED = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function all(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  for await (const part of parts) kept.push(part);
  return Buffer.concat(kept);
}
const encode = (bytes: Uint8Array, size: number, options: WriteOptions): Promise<Buffer> =>
  all(encodeAwsChunked(pieces(bytes, size), options));

describe('the encoded body', () => {
  test.each([1, 100, 4095, 4096, 5000, 65536, 100_000])(
    'is the example of the S3 API Reference, from pieces of %i bytes',
    async (size) => {
      const payload = Buffer.alloc(66560, 'a');
      const encoded = await encode(payload, size, { decodedLength: 66560, chain: example(SEED) });
      const wanted = [
        '10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n',
        payload.subarray(0, 65536).toString(),
        '\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n',
        payload.subarray(65536).toString(),
        '\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
      ].join('');
      expect(encoded.toString('latin1') === wanted).toBe(true);
      expect(encoded).toHaveLength(66824);
    },
  );

  test.each([0, 1, 15, 16, 4096, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000])(
    'of %i bytes has the length that was computed before, in all four shapes',
    async (decodedLength) => {
      const payload = Buffer.alloc(decodedLength, 7);
      const names = ['x-amz-checksum-crc32c', 'x-amz-checksum-sha256'];
      const trailers = () => [names[0]!, 'A'.repeat(8), names[1]!, 'B'.repeat(44)];
      expect(await encode(payload, 9999, { decodedLength })).toHaveLength(
        chunkedLength(decodedLength, { signed: false })!,
      );
      expect(await encode(payload, 9999, { decodedLength, chain: example(SEED) })).toHaveLength(
        chunkedLength(decodedLength, { signed: true })!,
      );
      expect(await encode(payload, 9999, { decodedLength, trailers })).toHaveLength(
        chunkedLength(decodedLength, { signed: false, trailers: names })!,
      );
      expect(await encode(payload, 9999, { decodedLength, trailers, chain: example(SEED) })).toHaveLength(
        chunkedLength(decodedLength, { signed: true, trailers: names })!,
      );
    },
  );

  test('has no known length with a trailer of any length', () => {
    expect(chunkedLength(5, { signed: true, trailers: ['x-amz-meta-a'] })).toBeUndefined();
  });

  test('with a trailer is the example of the S3 API Reference', async () => {
    const seed = '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e';
    const trailers = () => ['x-amz-checksum-crc32c', 'sOO8/Q=='];
    const encoded = await encode(Buffer.alloc(66560, 'a'), 3000, {
      decodedLength: 66560,
      chain: example(seed),
      trailers,
    });
    expect(encoded.subarray(-230).toString('latin1')).toContain(
      '0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n' +
        'x-amz-checksum-crc32c:sOO8/Q==\r\n' +
        'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
    );
  });

  test('is passed on without a copy of long pieces', async () => {
    const payload = Buffer.alloc(CHUNK_BYTES, 1);
    const parts: Uint8Array[] = [];
    for await (const part of encodeAwsChunked(pieces(payload, 16384), { decodedLength: CHUNK_BYTES })) parts.push(part);
    expect(parts.filter(({ buffer }) => buffer === payload.buffer)).toHaveLength(4);
  });

  test('P9: holds one chunk at most, however small the pieces are', async () => {
    const decodedLength = 4 * CHUNK_BYTES;
    let [taken, given, largest] = [0, 0, 0];
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (; taken < decodedLength; taken += 64) {
        largest = Math.max(largest, taken - given);
        yield new Uint8Array(64);
      }
    };
    let parts = 0;
    for await (const part of encodeAwsChunked(source(), { decodedLength })) {
      parts += 1;
      given += part.length;
    }
    expect(largest).toBeLessThanOrEqual(CHUNK_BYTES);
    expect(parts).toBe(9);
  });
});

describe('a body that is not as long as announced', () => {
  test.each([
    [CHUNK_BYTES + 5, CHUNK_BYTES + 4],
    [CHUNK_BYTES + 5, CHUNK_BYTES + 6],
    [0, 1],
    [1, 0],
  ])('is never ended: %i bytes announced, %i there', async (decodedLength, there) => {
    let encoded = '';
    const failed = (async () => {
      for await (const part of encodeAwsChunked(pieces(Buffer.alloc(there), 10_000), {
        decodedLength,
        chain: example(SEED),
      })) {
        encoded += Buffer.from(part).toString('latin1');
      }
    })();
    await expect(failed).rejects.toThrow(BodyProblem);
    expect(encoded).not.toContain('\r\n0;');
    expect(encoded).not.toMatch(/^0;/);
  });
});

describe('re-signing', () => {
  const agent = (): SignatureChain => new SignatureChain(keyOf('dummy'), DATE, 'a'.repeat(64));
  const sidecar = (): SignatureChain => new SignatureChain(keyOf('real'), DATE, 'b'.repeat(64));
  const trailers = () => ['x-amz-checksum-crc32', 'AAAAAA=='];
  const payload = Buffer.from(Array.from({ length: 150_000 }, (_, at) => at % 251));

  test('P1: makes the body that the holder of the real secret would have sent, with its trailer', async () => {
    const incoming = await encode(payload, 8192, { decodedLength: payload.length, chain: agent(), trailers });
    const reader = new AwsChunkedReader({
      signatures: 'hmac',
      decodedLength: payload.length,
      chain: agent(),
      trailers: ['x-amz-checksum-crc32'],
    });
    const decoded = decodeAwsChunked(pieces(incoming, 1000), reader);
    const options = { decodedLength: payload.length, chain: sidecar(), trailers: () => reader.trailers };
    const resigned = await all(encodeAwsChunked(decoded, options));
    expect(
      resigned.equals(await encode(payload, 70_000, { decodedLength: payload.length, chain: sidecar(), trailers })),
    ).toBe(true);
    expect(resigned).toHaveLength(chunkedLength(payload.length, { signed: true, trailers: ['x-amz-checksum-crc32'] })!);
  });

  test('P1: a wrong digit in the last of the agent’s signatures keeps the upstream from seeing an end', async () => {
    const incoming = await encode(payload, 8192, { decodedLength: payload.length, chain: agent() });
    incoming[incoming.length - 5]! ^= 1;
    const reader = new AwsChunkedReader({ signatures: 'hmac', decodedLength: payload.length, chain: agent() });
    let sent = '';
    const failed = (async () => {
      const options = { decodedLength: payload.length, chain: sidecar() };
      for await (const part of encodeAwsChunked(decodeAwsChunked(pieces(incoming, 1000), reader), options)) {
        sent += Buffer.from(part).toString('latin1');
      }
    })();
    await expect(failed).rejects.toMatchObject({ code: 'signature-mismatch' });
    expect(sent).not.toContain('\r\n0;chunk-signature');
  });

  test('both keys are overwritten at the end, also where the consumer leaves early', async () => {
    const [inbound, outbound] = [agent(), sidecar()];
    const incoming = await encode(payload, 8192, { decodedLength: payload.length, chain: agent() });
    const reader = new AwsChunkedReader({ signatures: 'hmac', decodedLength: payload.length, chain: inbound });
    const options = { decodedLength: payload.length, chain: outbound };
    for await (const _ of encodeAwsChunked(decodeAwsChunked(pieces(incoming, 1000), reader), options)) break;
    expect(() => inbound.extend('PAYLOAD', '')).toThrow('wiped');
    expect(() => outbound.extend('PAYLOAD', '')).toThrow('wiped');
  });
});
