import { hash } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, test } from 'vitest';
import { NodeSha256 } from '../testdata/node-sha256.ts';
import { EMPTY_SHA256 } from './canonical.ts';
import { SignatureChain } from './chain.ts';
import { signChunk } from './chunk-chain.ts';
import { dateHeader, daysOfEvents, EventChain } from './event-chain.ts';
import { SigningKey } from './key.ts';
import { signHead } from './sigv4.ts';
import { signTrailer } from './trailer-chain.ts';

const DATE = '20130524T000000Z';
const key = SigningKey.derive(Buffer.from('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'), {
  date: '20130524',
  region: 'us-east-1',
  service: 's3',
});
const sha256 = (bytes: number): string => hash('sha256', Buffer.alloc(bytes, 'a'), 'hex');

/** The PUT of the examples in the S3 API Reference. */
function seed(payloadHash: string, more: readonly string[], signs?: () => boolean): string {
  const headers = [
    'host',
    's3.amazonaws.com',
    'x-amz-storage-class',
    'REDUCED_REDUNDANCY',
    'content-encoding',
    'aws-chunked',
    'x-amz-decoded-content-length',
    '66560',
    ...more,
  ];
  const head = { method: 'PUT', target: '/examplebucket/chunkObject.txt', headers };
  const time = new Date('2013-05-24T00:00:00Z');
  return signHead(head, {
    signer: key,
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    time,
    payloadHash,
    ...(signs && { signs }),
  }).signature;
}

describe('the chunk chain', () => {
  test('is that of the S3 API Reference, "Transferring Payload in Multiple Chunks"', () => {
    const first = seed('STREAMING-AWS4-HMAC-SHA256-PAYLOAD', ['content-length', '66824'], () => true);
    expect(first).toBe('4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9');
    const chain = new SignatureChain(key, DATE, first);
    expect([signChunk(chain, sha256(65536)), signChunk(chain, sha256(1024)), signChunk(chain, EMPTY_SHA256)]).toEqual([
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ]);
  });

  test('has a key of its own, which outlives the one it was made of and ends with it', () => {
    const made = key.copy();
    const chain = new SignatureChain(made, DATE, 'b'.repeat(64));
    made.wipe();
    expect(signChunk(chain, EMPTY_SHA256)).toMatch(/^[0-9a-f]{64}$/);
    chain.close();
    expect(() => signChunk(chain, EMPTY_SHA256)).toThrow('wiped');
  });
});

describe('the trailer chain', () => {
  test('is that of the S3 API Reference, "Including Trailing Headers"', () => {
    const first = seed('STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', ['x-amz-trailer', 'x-amz-checksum-crc32c']);
    expect(first).toBe('106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e');
    const chain = new SignatureChain(key, DATE, first);
    expect([signChunk(chain, sha256(65536)), signChunk(chain, sha256(1024)), signChunk(chain, EMPTY_SHA256)]).toEqual([
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ]);
    // HMAC of the string to sign that the reference prints.
    expect(signTrailer(chain, ['x-amz-checksum-crc32c', 'sOO8/Q=='])).toBe(
      'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435',
    );
  });

  test('signs several trailers by name, in any order', () => {
    // aws-c-auth, tests/test_chunked_signing.c (Apache-2.0).
    const end = 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9';
    const wanted = 'df5735bd9f3295cd9386572292562fefc93ba94e80a0a1ddcbd652c4e0a75e6c';
    for (const trailers of [
      ['first', '1st', 'second', '2nd', 'third', '3rd'],
      ['Third', ' 3rd', 'First', '1st', 'second', '2nd '],
    ]) {
      expect(signTrailer(new SignatureChain(key, DATE, end), trailers)).toBe(wanted);
    }
  });
});

describe('the event chain', () => {
  test('is that of aws-c-auth', () => {
    // tests/test_event_signing.c (Apache-2.0).
    const demo = SigningKey.derive(Buffer.from('secret'), { date: '19810116', region: 'us-east-1', service: 'demo' });
    const headers = ['host', 'demo.us-east-1.amazonaws.com', 'Content-Encoding', 'application/vnd.amazon.eventstream'];
    const signing = {
      signer: demo,
      accessKeyId: 'access',
      time: new Date('1981-01-16T06:30:00Z'),
      payloadHash: 'STREAMING-AWS4-HMAC-SHA256-EVENTS',
    };
    const { signature } = signHead({ method: 'POST', target: '/streaming', headers }, signing);
    expect(signature).toBe('e1d8e8c8815e60969f2a34765c9a15945ffc0badbaa4b7e3b163ea19131e949b');
    const chain = new EventChain([demo], signature);
    expect(chain.sign(new Date('1981-01-16T06:30:01Z'), hash('sha256', 'A', 'hex'))).toBe(
      '7aabf85b765e6a4d0d500b6e968657b14726fa3e1eb7e839302728ffd77629a5',
    );
    expect(chain.sign(new Date('1981-01-16T06:30:02Z'), hash('sha256', 'B', 'hex'))).toBe(
      'f72aa9642f571d24a6e1ae42f10f073ad9448d8a028b6bcd82da081335adda02',
    );
  });

  test('goes on past midnight with the key of the next day, as the AWS SDK signs', async () => {
    const secret = 'secret-of-the-agent';
    const scope = { region: 'eu-west-1', service: 'transcribe' };
    const head = new Date('2026-12-31T23:59:58Z');
    const keys = daysOfEvents(head).map((date) => SigningKey.derive(Buffer.from(secret), { date, ...scope }));
    const chain = new EventChain(keys, 'a'.repeat(64));
    const sdk = new SignatureV4({
      ...scope,
      credentials: { accessKeyId: 'A', secretAccessKey: secret },
      sha256: NodeSha256,
    });
    let previous = 'a'.repeat(64);
    for (const at of ['2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00Z', '2027-01-01T23:59:59Z']) {
      const time = new Date(at);
      const event = { headers: dateHeader(time), payload: Buffer.from(at) };
      previous = await sdk.sign(event, { signingDate: time, priorSignature: previous });
      expect(chain.sign(time, hash('sha256', at, 'hex'))).toBe(previous);
    }
    expect(chain.sign(new Date('2027-01-02T00:00:00Z'), EMPTY_SHA256)).toBeUndefined();
    expect(chain.sign(new Date('2026-12-30T23:59:59Z'), EMPTY_SHA256)).toBeUndefined();
  });

  test('has keys of its own, which outlive those it was made of and end with it', () => {
    const made = key.copy();
    const chain = new EventChain([made], 'b'.repeat(64));
    made.wipe();
    const time = new Date('2013-05-24T00:00:00Z');
    expect(chain.sign(time, EMPTY_SHA256)).toMatch(/^[0-9a-f]{64}$/);
    chain.close();
    expect(() => chain.sign(time, EMPTY_SHA256)).toThrow('wiped');
  });

  test('ends where the calendar of signatures does', () => {
    expect(daysOfEvents(new Date('9999-12-31T12:00:00Z'))).toEqual(['99991231']);
    expect(daysOfEvents(new Date('2028-02-28T23:59:59Z'))).toEqual(['20280228', '20280229']);
  });

  test('covers the date as an event-stream header', () => {
    expect(dateHeader(new Date(0x0102030405)).toString('hex')).toBe('053a64617465080000000102030405');
  });
});
