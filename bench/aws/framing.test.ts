import { expect, test } from 'vitest';
import { AwsChunkedReader, decodeAwsChunked } from '../../connectors/aws/body/aws-chunked-reader.ts';
import { SignatureChain } from '../../connectors/aws/sign/chain.ts';
import { framesOf, type Framing } from './framing.ts';
import { clientKey } from './requests.ts';

const AMZ_DATE = '20260102T030405Z';
const CHUNK_BYTES = 16 * 1024;

/** The body as the mover puts it on the wire. */
function wireOf(framing: Framing, bytes: number): Buffer {
  const { block, lines, ending, length } = framesOf(framing, bytes);
  let left = bytes;
  const parts = lines.flatMap((line) => {
    const chunk = block.subarray(0, Math.min(left, block.length));
    left -= chunk.length;
    return [line, chunk];
  });
  const wire = Buffer.concat([...parts, ending]);
  expect(wire.length).toBe(length);
  return wire;
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function decodedBytes(wire: Buffer, reader: AwsChunkedReader): Promise<number> {
  let bytes = 0;
  for await (const piece of decodeAwsChunked(once(wire), reader)) bytes += piece.length;
  return bytes;
}

test.each([0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])('%i bytes in chunks, each with its signature', async (bytes) => {
  const seed = 'a'.repeat(64);
  const wire = wireOf({ chunkBytes: CHUNK_BYTES, chain: { amzDate: AMZ_DATE, seed } }, bytes);
  const open = (from: string) =>
    new AwsChunkedReader({
      signatures: 'hmac',
      decodedLength: bytes,
      chain: new SignatureChain(clientKey('s3', AMZ_DATE), AMZ_DATE, from),
    });
  expect(await decodedBytes(wire, open(seed))).toBe(bytes);
  await expect(decodedBytes(wire, open('b'.repeat(64)))).rejects.toThrow();
});

test('bytes in chunks with a checksum behind them', async () => {
  const wire = wireOf({ chunkBytes: CHUNK_BYTES, trailer: 'x-amz-checksum-crc32:AAAAAA==\r\n' }, CHUNK_BYTES + 1);
  const trailers = ['x-amz-checksum-crc32'];
  const reader = new AwsChunkedReader({ signatures: 'none', decodedLength: CHUNK_BYTES + 1, trailers });
  expect(await decodedBytes(wire, reader)).toBe(CHUNK_BYTES + 1);
  expect(reader.trailers).toEqual(['x-amz-checksum-crc32', 'AAAAAA==']);
});

test('a plain body is nothing but its bytes', () => {
  expect(wireOf('plain', 100_000)).toEqual(Buffer.alloc(100_000, 'x'));
});
