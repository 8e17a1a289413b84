import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { EMPTY_SHA256 } from '../sign/canonical.ts';
import { SignatureChain } from '../sign/chain.ts';
import { SigningKey } from '../sign/key.ts';
import { signChunk } from '../sign/chunk-chain.ts';
import { signTrailer } from '../sign/trailer-chain.ts';
import { AwsChunkedReader, decodeAwsChunked, type ReadOptions } from './aws-chunked-reader.ts';
import { BODY_BYTES_MAX } from './aws-chunked.ts';
import { BodyProblem } from './body-problem.ts';

const key = SigningKey.derive(Buffer.from('dummy'), { date: '20260102', region: 'eu-west-1', service: 's3' });
const chain = (): SignatureChain => new SignatureChain(key, '20260102T030405Z', '5'.repeat(64));

interface Read {
  readonly payload?: string;
  readonly trailers?: readonly string[];
  readonly problem?: string;
}

function read(text: string, options: ReadOptions, pieceBytes = 1): Read {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new AwsChunkedReader(options);
  const slices: Uint8Array[] = [];
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes)
      slices.push(...reader.feed(bytes.subarray(at, at + pieceBytes)));
    reader.end();
    return { payload: Buffer.concat(slices).toString('latin1'), trailers: reader.trailers };
  } catch (error) {
    if (error instanceof BodyProblem) return { problem: error.code };
    throw error;
  }
}
const plain = (text: string, decodedLength: number): Read => read(text, { signatures: 'none', decodedLength });
const trailing = (text: string, decodedLength: number, trailers = ['x-amz-checksum-crc32']): Read =>
  read(text, { signatures: 'none', decodedLength, trailers });

/** A signed body of these chunks, and the trailer with its signature. */
function signed(chunks: readonly string[], trailers?: readonly string[], ending = '\r\n'): string {
  const signer = chain();
  const frames = chunks.map(
    (chunk) =>
      `${chunk.length.toString(16)};chunk-signature=${signChunk(signer, hash('sha256', chunk, 'hex'))}\r\n${chunk}\r\n`,
  );
  let text = `${frames.join('')}0;chunk-signature=${signChunk(signer, EMPTY_SHA256)}\r\n`;
  if (trailers === undefined) return `${text}\r\n`;
  for (let at = 0; at < trailers.length; at += 2) text += `${trailers[at]!}:${trailers[at + 1]!}${ending}`;
  return `${text}x-amz-trailer-signature:${signTrailer(signer, trailers)}\r\n\r\n`;
}
const verifying = (decodedLength: number, trailers?: readonly string[]): ReadOptions => ({
  signatures: 'hmac',
  decodedLength,
  chain: chain(),
  ...(trailers && { trailers }),
});

describe('the framing', () => {
  test('is read, whatever the pieces it comes in', () => {
    const text = '5\r\nhello\r\n006\r\n world\r\n0\r\n\r\n';
    for (const pieceBytes of [1, 2, 3, 7, 100]) {
      expect(read(text, { signatures: 'none', decodedLength: 11 }, pieceBytes)).toEqual({
        payload: 'hello world',
        trailers: [],
      });
    }
    expect(plain('0\r\n\r\n', 0)).toEqual({ payload: '', trailers: [] });
  });

  test('is handed out as slices of what came, without a copy', () => {
    const bytes = Buffer.from('5\r\nhello\r\n0\r\n\r\n');
    const [slice] = [...new AwsChunkedReader({ signatures: 'none', decodedLength: 5 }).feed(bytes)];
    expect(slice!.buffer).toBe(bytes.buffer);
    expect(slice!.byteOffset).toBe(bytes.byteOffset + 3);
  });

  test.each([
    ['no size', '\r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a size that is no hex', '5g\r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a sign before the size', '+5\r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a prefix before the size', '0x5\r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a blank after the size', '5 \r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['an extension that is no signature', '5;a=b\r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a bare newline after the size', '5\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a bare newline after a longer size', '50\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a bare newline after the chunk', '5\r\nhello\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a chunk longer than its size', '5\r\nhello!\r\n0\r\n\r\n', 6, 'malformed-framing'],
    ['a size of seventeen digits', '00000000000000005\r\nhello\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['a size beyond exact numbers', 'ffffffffffffffff\r\nhello', 5, 'length-mismatch'],
    ['a payload without any framing', 'plain bytes of a file', 21, 'truncated'],
    ['bytes after the end', '5\r\nhello\r\n0\r\n\r\nx', 5, 'malformed-framing'],
    ['a second body', '5\r\nhello\r\n0\r\n\r\n0\r\n\r\n', 5, 'malformed-framing'],
    ['an end without its last line', '5\r\nhello\r\n0\r\n', 5, 'truncated'],
    ['an end without its newline', '5\r\nhello\r\n0\r\n\r', 5, 'truncated'],
    ['no last chunk', '5\r\nhello\r\n', 5, 'truncated'],
    ['a trailer where none is announced', '5\r\nhello\r\n0\r\na:b\r\n\r\n', 5, 'malformed-trailer'],
    ['a longer body than announced', '5\r\nhello\r\n0\r\n\r\n', 4, 'length-mismatch'],
    ['a shorter body than announced', '5\r\nhello\r\n0\r\n\r\n', 6, 'length-mismatch'],
    ['a line that never ends', 'a'.repeat(300), 5, 'too-long'],
  ])('is refused with %s', (_, text, decodedLength, problem) => {
    expect(plain(text, decodedLength)).toEqual({ problem });
  });

  test('is refused for its announced length before a byte is read', () => {
    expect(() => new AwsChunkedReader({ signatures: 'none', decodedLength: BODY_BYTES_MAX + 1 })).toThrow(BodyProblem);
  });

  test('a chunk that is too long is refused at its size, before its bytes', () => {
    const reader = new AwsChunkedReader({ signatures: 'none', decodedLength: 10 });
    expect(() => [...reader.feed(Buffer.from('b\r\n'))]).toThrow('longer than its decoded length');
  });
});

describe('signatures of chunks', () => {
  test('P1: are verified where the agent made them', () => {
    expect(read(signed(['hello', ' world']), verifying(11))).toEqual({ payload: 'hello world', trailers: [] });
  });

  test('P1: one wrong digit, in any signature, is found', () => {
    const text = signed(['hello', ' world']);
    for (const match of text.matchAll(/signature=([0-9a-f])/g)) {
      const at = match.index + match[0].length - 1;
      const wrong = `${text.slice(0, at)}${match[1] === '0' ? '1' : '0'}${text.slice(at + 1)}`;
      expect(read(wrong, verifying(11))).toEqual({ problem: 'signature-mismatch' });
    }
  });

  test('P1: other bytes, another order, a chunk less and chunks cut otherwise are found', () => {
    const text = signed(['hello', ' world']);
    const [first = '', second = ''] = text.split(/(?<=hello\r\n|world\r\n)/);
    const last = text.slice(first.length + second.length);
    expect(read(text.replace('hello', 'hellO'), verifying(11))).toEqual({ problem: 'signature-mismatch' });
    expect(read(second + first + last, verifying(11))).toEqual({ problem: 'signature-mismatch' });
    expect(read(first + last, verifying(5))).toEqual({ problem: 'signature-mismatch' });
    expect(read(signed(['hello world']).replace(/^b/, '5').replace('hello world', 'hello'), verifying(5))).toEqual({
      problem: 'signature-mismatch',
    });
  });

  test('may not be missing', () => {
    expect(read('5\r\nhello\r\n0\r\n\r\n', verifying(5))).toEqual({ problem: 'malformed-framing' });
    expect(plain(signed(['hello']), 5)).toEqual({ problem: 'malformed-framing' });
  });

  test('of ECDSA are read with their padding', () => {
    const signature = `${'30'.repeat(70)}****`;
    const text = `5;chunk-signature=${signature}\r\nhello\r\n0;chunk-signature=${signature}\r\n\r\n`;
    expect(read(text, { signatures: 'ecdsa', decodedLength: 5 })).toEqual({ payload: 'hello', trailers: [] });
  });
});

describe('the trailer', () => {
  test('is read', () => {
    expect(trailing('1\r\na\r\n0\r\nX-Amz-Checksum-Crc32: AAAA== \r\n\r\n', 1)).toEqual({
      payload: 'a',
      trailers: ['x-amz-checksum-crc32', 'AAAA=='],
    });
    expect(trailing('0\r\n\r\n', 0, [])).toEqual({ payload: '', trailers: [] });
  });

  test('is read as the S3 API Reference and minio-go write it', () => {
    expect(trailing('1\r\na\r\n0\r\nx-amz-checksum-crc32:AAAA==\n\r\n\r\n', 1)).toMatchObject({ payload: 'a' });
    const text = signed(['a'], ['x-amz-checksum-crc32', 'AAAA=='], '\n\r\n');
    expect(read(text, verifying(1, ['x-amz-checksum-crc32']))).toMatchObject({
      trailers: ['x-amz-checksum-crc32', 'AAAA=='],
    });
  });

  test.each([
    ['one that was not announced', 'x-amz-meta-a:1\r\n\r\n'],
    ['an announced one missing', '\r\n'],
    ['one twice', 'x-amz-checksum-crc32:A\r\nx-amz-checksum-crc32:A\r\n\r\n'],
    ['no colon', 'x-amz-checksum-crc32\r\n\r\n'],
    ['no value', 'x-amz-checksum-crc32:\r\n\r\n'],
    ['a control character', 'x-amz-checksum-crc32:a\x01b\r\n\r\n'],
    ['a return within', 'x-amz-checksum-crc32:a\rb\r\n\r\n'],
    ['a blank before the colon', 'x-amz-checksum-crc32 :A\r\n\r\n'],
    ['a signature though nothing is signed', 'x-amz-checksum-crc32:A\r\nx-amz-trailer-signature:a\r\n\r\n'],
  ])('is refused with %s', (_, trailer) => {
    expect(trailing(`1\r\na\r\n0\r\n${trailer}`, 1)).toEqual({ problem: 'malformed-trailer' });
  });

  test('is refused where it is too long, before it is held', () => {
    expect(trailing(`1\r\na\r\n0\r\nx-amz-checksum-crc32:${'A'.repeat(20_000)}`, 1)).toEqual({ problem: 'too-long' });
    const long = ['a', 'b'].map((name) => `${name}:${'A'.repeat(9_000)}\r\n`).join('');
    expect(trailing(`1\r\na\r\n0\r\n${long}\r\n`, 1, ['a', 'b'])).toEqual({ problem: 'too-long' });
    const names = Array.from({ length: 17 }, (_, at) => `x-amz-${at}`);
    expect(() => new AwsChunkedReader({ signatures: 'none', decodedLength: 1, trailers: names })).toThrow(BodyProblem);
  });

  test('P27: is under a signature, which is verified', () => {
    const trailers = ['x-amz-checksum-crc32', 'AAAA=='];
    const text = signed(['a'], trailers);
    expect(read(text, verifying(1, ['x-amz-checksum-crc32']))).toEqual({ payload: 'a', trailers });
    expect(read(text.replace('AAAA==', 'AAAB=='), verifying(1, ['x-amz-checksum-crc32']))).toEqual({
      problem: 'signature-mismatch',
    });
    expect(read(text.replace(/x-amz-trailer-signature:.*\r\n/, ''), verifying(1, ['x-amz-checksum-crc32']))).toEqual({
      problem: 'malformed-trailer',
    });
    expect(read(text.replace(/(trailer-signature:)./, '$1g'), verifying(1, ['x-amz-checksum-crc32']))).toEqual({
      problem: 'malformed-trailer',
    });
  });

  test('is refused with a field after its signature', () => {
    const text = signed(['a'], ['x-amz-checksum-crc32', 'AAAA==']);
    const moved = text.replace(/(x-amz-checksum-crc32:AAAA==\r\n)(x-amz-trailer-signature:.*\r\n)/, '$2$1');
    expect(moved).not.toBe(text);
    expect(read(moved, verifying(1, ['x-amz-checksum-crc32']))).toEqual({ problem: 'malformed-trailer' });
  });
});

test('the key that verifies is overwritten at the end, also of a body that fails', async () => {
  for (const text of [signed(['hello']), 'no framing\r\n']) {
    const by = chain();
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from(text);
    };
    const reader = new AwsChunkedReader({ signatures: 'hmac', decodedLength: 5, chain: by });
    const all = (async () => {
      for await (const _ of decodeAwsChunked(source(), reader));
    })();
    await all.catch(() => undefined);
    expect(() => by.extend('PAYLOAD', '')).toThrow('wiped');
  }
});
