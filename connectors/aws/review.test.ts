import { describe, expect, test } from 'vitest';
import { BucketRegions } from './learnt/bucket-regions.ts';
import { Clocks } from './learnt/clocks.ts';
import { review } from './review.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const CONTEXT = { origin: { scheme: 'https', host: 's3.eu-west-1.amazonaws.com', port: 443 }, now: NOW } as const;

function xml(code: string, message = ''): Buffer {
  return Buffer.from(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`);
}

function rig() {
  const learnt = { clocks: new Clocks(), regions: new BucketRegions() };
  const judge = (body: Buffer, headers: readonly string[] = [], bucket?: string) =>
    review(
      learnt,
      { status: 403, reason: '', headers },
      body,
      CONTEXT,
      bucket === undefined ? undefined : { bucket, region: 'eu-west-1' },
    );
  return { ...learnt, judge };
}

describe('a refusal of AWS', () => {
  test('that finds the time wrong teaches the offset of the host, once', () => {
    const { judge, clocks } = rig();
    const late = ['Date', 'Fri, 02 Jan 2026 03:24:05 GMT'];
    expect(judge(xml('RequestTimeTooSkewed'), late)).toBe('again');
    expect(clocks.at(CONTEXT.origin.host, NOW)).toEqual(new Date('2026-01-02T03:24:05Z'));
    expect(clocks.at('other.example', NOW)).toBe(NOW);
    expect(judge(xml('RequestTimeTooSkewed'), late)).toBe('pass');
  });

  test('whose date rested in a cache is read with its age', () => {
    const { judge, clocks } = rig();
    judge(xml('RequestTimeTooSkewed'), ['date', 'Fri, 02 Jan 2026 03:24:05 GMT', 'age', '60']);
    expect(clocks.at(CONTEXT.origin.host, NOW)).toEqual(new Date('2026-01-02T03:25:05Z'));
  });

  test('without a date, or with ours, teaches nothing', () => {
    const { judge } = rig();
    expect(judge(xml('RequestTimeTooSkewed'))).toBe('pass');
    expect(judge(xml('RequestTimeTooSkewed'), ['date', 'Fri, 02 Jan 2026 03:04:15 GMT'])).toBe('pass');
    expect(judge(xml('RequestTimeTooSkewed'), ['date', 'yesterday'])).toBe('pass');
  });

  test('of a signature is about the time only where it says so', () => {
    const { judge } = rig();
    const late = ['date', 'Fri, 02 Jan 2026 03:24:05 GMT'];
    expect(judge(xml('SignatureDoesNotMatch', 'The request signature we calculated does not match'), late)).toBe(
      'pass',
    );
    expect(judge(xml('SignatureDoesNotMatch', 'Signature expired: 20260102T030405Z is now earlier than'), late)).toBe(
      'again',
    );
  });

  test.each(['ExpiredToken', 'InvalidAccessKeyId', 'UnrecognizedClientException'])(
    '%s asks for other credentials',
    (code) => {
      expect(rig().judge(xml(code))).toBe('lease-anew');
    },
  );

  test('is read in every dialect', () => {
    const { judge } = rig();
    expect(
      judge(Buffer.from('{"__type":"com.amazonaws.dynamodb.v20120810#ExpiredTokenException","message":"x"}')),
    ).toBe('lease-anew');
    expect(judge(Buffer.from('{"code":"ExpiredToken"}'))).toBe('lease-anew');
    expect(judge(Buffer.alloc(0), ['x-amzn-ErrorType', 'ExpiredTokenException:http://internal.amazon.com/'])).toBe(
      'lease-anew',
    );
    expect(judge(Buffer.from('ExpiredToken in some text'))).toBe('pass');
  });

  test('that names the region of the bucket teaches it, once and only if it is a region', () => {
    const { judge, regions } = rig();
    expect(judge(Buffer.alloc(0), ['x-amz-bucket-region', 'evil.com/#'], 'photos')).toBe('pass');
    expect(judge(Buffer.alloc(0), ['x-amz-bucket-region', 'eu-central-1'])).toBe('pass');
    expect(judge(Buffer.alloc(0), ['x-amz-bucket-region', 'eu-west-1'], 'photos')).toBe('pass');
    expect(judge(Buffer.alloc(0), ['x-amz-bucket-region', 'eu-central-1'], 'photos')).toBe('again');
    expect(regions.of('photos')).toBe('eu-central-1');
    expect(judge(Buffer.alloc(0), ['x-amz-bucket-region', 'eu-central-1'], 'photos')).toBe('pass');
  });

  test('what is learnt of hosts and buckets is bounded', () => {
    const { clocks, regions } = rig();
    for (let n = 0; n < 2000; n += 1) {
      clocks.learn(`h${n}`, NOW, 'Fri, 02 Jan 2026 03:24:05 GMT', undefined);
      regions.learn(`b${n}`, 'eu-central-1');
    }
    expect(clocks.at('h0', NOW)).toBe(NOW);
    expect(clocks.at('h1999', NOW)).not.toBe(NOW);
    expect(regions.of('b0')).toBeUndefined();
    expect(regions.of('b1999')).toBe('eu-central-1');
  });
});
