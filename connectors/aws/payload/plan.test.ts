import { describe, expect, test } from 'vitest';
import { EMPTY_SHA256 } from '../sign/canonical.ts';
import { planPayload } from './plan.ts';

const HASH = 'a'.repeat(64);
const CHUNKED = ['x-amz-decoded-content-length', '10', 'content-encoding', 'aws-chunked', 'content-length', '200'];
const TRAILER = ['x-amz-trailer', 'x-amz-checksum-crc32'];

function plan(announced: string | undefined, service = 's3', headers: readonly string[] = [], modes = {}) {
  return planPayload({ method: 'PUT', target: '/b/k', headers }, announced, service, modes);
}

describe('what becomes of a body', () => {
  test.each([HASH, 'UNSIGNED-PAYLOAD'])('announced as %s it goes on as it comes', (announced) => {
    expect(plan(announced, 's3', ['content-length', '5'])).toEqual({ kind: 'keep', payloadHash: announced });
    expect(plan(announced, 'dynamodb', ['content-length', '5'])).toEqual({ kind: 'keep', payloadHash: announced });
  });

  test('that is empty needs no hashing', () => {
    expect(plan(undefined)).toEqual({ kind: 'keep', payloadHash: EMPTY_SHA256 });
    expect(plan(undefined, 'sqs', ['Content-Length', '0'])).toEqual({ kind: 'keep', payloadHash: EMPTY_SHA256 });
  });

  test('nobody announced is hashed, for stores of objects it goes unsigned', () => {
    expect(plan(undefined, 'sqs', ['content-length', '5'])).toEqual({ kind: 'hash' });
    expect(plan(undefined, 'sqs', ['Transfer-Encoding', 'chunked'])).toEqual({ kind: 'hash' });
    expect(plan(undefined, 's3', ['content-length', '5'])).toEqual({ kind: 'keep', payloadHash: 'UNSIGNED-PAYLOAD' });
  });

  test('for VPC Lattice is never under the signature', () => {
    expect(plan(HASH, 'vpc-lattice-svcs', ['content-length', '5'])).toEqual({
      kind: 'keep',
      payloadHash: 'UNSIGNED-PAYLOAD',
    });
  });

  test('with an unsigned trailer goes on byte for byte, or plain', () => {
    const headers = [...CHUNKED, ...TRAILER];
    const word = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
    expect(plan(word, 's3', headers)).toEqual({ kind: 'keep', payloadHash: word });
    expect(plan(word, 's3', headers, { trailers: 'strip' })).toMatchObject({
      kind: 'chunks',
      signatures: 'none',
      decodedLength: 10,
      trailers: ['x-amz-checksum-crc32'],
      writes: 'UNSIGNED-PAYLOAD',
    });
  });

  const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
  test.each([
    [SIGNED, {}, SIGNED],
    [SIGNED, { chunked: 'unsigned' }, 'UNSIGNED-PAYLOAD'],
    [`${SIGNED}-TRAILER`, {}, `${SIGNED}-TRAILER`],
    [`${SIGNED}-TRAILER`, { trailers: 'strip' }, SIGNED],
    [`${SIGNED}-TRAILER`, { chunked: 'unsigned' }, 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'],
    [`${SIGNED}-TRAILER`, { chunked: 'unsigned', trailers: 'strip' }, 'UNSIGNED-PAYLOAD'],
    ['STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', {}, 'UNSIGNED-PAYLOAD'],
    ['STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER', {}, 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'],
    ['STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER', { trailers: 'strip' }, 'UNSIGNED-PAYLOAD'],
  ])('signed by chunks, %s under %j, goes as %s', (word, modes, writes) => {
    expect(plan(word, 's3', [...CHUNKED, ...TRAILER], modes)).toMatchObject({
      kind: 'chunks',
      decodedLength: 10,
      writes,
    });
  });

  test('in an event stream is signed anew event by event, as long as it was', () => {
    const word = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
    expect(plan(word, 'transcribe')).toEqual({ kind: 'events', bytes: undefined });
    expect(plan(word, 'lex', ['Content-Length', '166'], { chunked: 'unsigned' })).toEqual({
      kind: 'events',
      bytes: 166,
    });
    expect(() => plan(word, 'lex', ['content-length', '-1'])).toThrow('not framed');
  });

  test.each(['STREAMING-AWS4-ECDSA-P256-SHA256-EVENTS', 'STREAMING-SOMETHING-NEW', 'gibberish', HASH.toUpperCase()])(
    'announced as %s is refused',
    (word) => {
      expect(() =>
        plan(
          word,
          's3',
          CHUNKED.filter((_, at) => at < 2),
        ),
      ).toThrow('not supported');
    },
  );

  test.each([HASH, 'UNSIGNED-PAYLOAD', undefined])(
    'in aws-chunked coding, announced as %s, is refused: it would be stored with its framing',
    (word) => {
      expect(() => plan(word, 's3', ['content-length', '5', 'Content-Encoding', 'gzip, AWS-Chunked'])).toThrow(
        'aws-chunked',
      );
    },
  );

  test.each([
    ['no decoded length', ['x-amz-trailer', 'x-amz-checksum-crc32']],
    ['a decoded length that is none', ['x-amz-decoded-content-length', '-1', ...TRAILER]],
    ['a decoded length beyond all objects', ['x-amz-decoded-content-length', '9999999999999', ...TRAILER]],
    ['no trailer named', ['x-amz-decoded-content-length', '10']],
    ['a trailer name that is none', ['x-amz-decoded-content-length', '10', 'x-amz-trailer', 'a b']],
    [
      'too many trailers',
      ['x-amz-decoded-content-length', '10', 'x-amz-trailer', Array.from({ length: 17 }, (_, at) => `t${at}`).join()],
    ],
  ])('in chunks with %s is refused', (_, headers) => {
    expect(() => plan(`${SIGNED}-TRAILER`, 's3', headers)).toThrow('not framed');
  });
});
