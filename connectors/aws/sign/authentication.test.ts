import { describe, expect, test } from 'vitest';
import { readAuthentication } from './authentication.ts';
import { SigningProblem, type SigningProblemCode } from './problem.ts';

const SIGNATURE = 'a'.repeat(64);
const CREDENTIAL = 'Credential=AKID/20260102/eu-west-1/s3/aws4_request';
const PLAIN = `AWS4-HMAC-SHA256 ${CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=${SIGNATURE}`;
const DATED = ['host', 'h', 'x-amz-date', '20260102T030405Z'];
const QUERY = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20260102%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&X-Amz-Signature=${SIGNATURE}`;

const byHeader = (authorization: string, more: readonly string[] = DATED) =>
  readAuthentication({ method: 'GET', target: '/b/k', headers: [...more, 'Authorization', authorization] });
const byQuery = (query: string, headers: readonly string[] = ['host', 'h']) =>
  readAuthentication({ method: 'GET', target: `/b/k?${query}`, headers });

function codeOf(act: () => unknown): SigningProblemCode | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof SigningProblem) return error.code;
    throw error;
  }
  return undefined;
}

describe('the authorization field', () => {
  test('may have the authority of HTTP/2 signed in place of the host', () => {
    const { signedHeaders } = byHeader(PLAIN.replace('host;', ':authority;')) as { signedHeaders: readonly string[] };
    expect(signedHeaders).toEqual([':authority', 'x-amz-date']);
  });

  test('is read into its parts', () => {
    expect(byHeader(PLAIN)).toEqual({
      form: 'v4',
      place: 'header',
      algorithm: 'AWS4-HMAC-SHA256',
      accessKeyId: 'AKID',
      scope: { date: '20260102', region: 'eu-west-1', service: 's3' },
      amzDate: '20260102T030405Z',
      time: new Date('2026-01-02T03:04:05Z'),
      signedHeaders: ['host', 'x-amz-date'],
      signature: SIGNATURE,
    });
  });

  test.each([
    ['without blanks, as s3cmd writes it', PLAIN.replaceAll(', ', ',')],
    ['with tabs and more blanks', PLAIN.replaceAll(', ', ' \t, ')],
    ['with two blanks after the algorithm', PLAIN.replace('SHA256 ', 'SHA256  ')],
    ['in another order', `AWS4-HMAC-SHA256 Signature=${SIGNATURE},${CREDENTIAL},SignedHeaders=host;x-amz-date`],
  ])('P7: is read %s', (_, authorization) => {
    expect(byHeader(authorization)).toEqual(byHeader(PLAIN));
  });

  test.each([
    ['a part is missing', PLAIN.replace(/, Signature.*/, '')],
    ['a part is there twice', `${PLAIN}, ${CREDENTIAL}`],
    ['a part is unknown', `${PLAIN}, Extra=1`],
    ['a comma is missing', PLAIN.replaceAll(',', '')],
    ['the signature is short', PLAIN.slice(0, -1)],
    ['the signature is in capitals', PLAIN.replace(SIGNATURE, 'A'.repeat(64))],
    ['the host is not signed', PLAIN.replace('host;', '')],
    ['the host is signed under two names', PLAIN.replace('host;', ':authority;host;')],
    ['another pseudo-field is signed', PLAIN.replace('host;', ':path;host;')],
    ['an authority stands behind others', PLAIN.replace('host;x-amz-date', 'a;:authority;x-amz-date')],
    ['a signed name has capitals', PLAIN.replace('host;x-amz-date', 'host;X-Amz-Date')],
    ['the signed names are out of order', PLAIN.replace('host;x-amz-date', 'x-amz-date;host')],
    ['a signed name is there twice', PLAIN.replace('host;', 'host;host;')],
    ['a signed name has capitals, in order', PLAIN.replace('host;x-amz-date', 'Accept;host')],
    ['a signed name is no token', PLAIN.replace('x-amz-date', 'x@y')],
    ['a signed name is empty', PLAIN.replace('host;', 'host;;')],
    ['nothing follows the algorithm', 'AWS4-HMAC-SHA256'],
    ['it is very long', `${PLAIN}${' '.repeat(9000)}`],
  ])('is refused where %s', (_, authorization) => {
    expect(codeOf(() => byHeader(authorization))).toBe('malformed-authorization');
  });

  test('is refused with an algorithm that nobody knows', () => {
    expect(codeOf(() => byHeader(PLAIN.replace('SHA256', 'SHA512')))).toBe('unknown-algorithm');
    expect(codeOf(() => byHeader(PLAIN.replace('AWS4', 'aws4')))).toBe('unknown-algorithm');
  });

  test('of another scheme is somebody else’s', () => {
    expect(byHeader('Bearer token')).toEqual({ form: 'other' });
    expect(byHeader('Basic dTpw')).toEqual({ form: 'other' });
  });

  test('of Signature Version 2 names its key', () => {
    expect(byHeader('AWS AKID:c2lnbmF0dXJl')).toEqual({ form: 'v2', place: 'header', accessKeyId: 'AKID' });
    expect(codeOf(() => byHeader('AWS AKID'))).toBe('malformed-authorization');
  });

  test('of SigV4a has a scope without a region', () => {
    const ecdsa = PLAIN.replace('HMAC-SHA256', 'ECDSA-P256-SHA256')
      .replace('eu-west-1/', '')
      .replace(SIGNATURE, '30'.repeat(71));
    expect(byHeader(ecdsa)).toMatchObject({
      algorithm: 'AWS4-ECDSA-P256-SHA256',
      scope: { date: '20260102', service: 's3' },
    });
  });
});

describe('the date', () => {
  test('P8: is read and not compared with any clock', () => {
    const old = PLAIN.replace('20260102', '19991231');
    expect(byHeader(old, ['host', 'h', 'x-amz-date', '19991231T235959Z'])).toMatchObject({
      amzDate: '19991231T235959Z',
    });
  });

  test('may stand in the date field in either form', () => {
    expect(byHeader(PLAIN, ['host', 'h', 'date', 'Fri, 02 Jan 2026 03:04:05 GMT'])).toMatchObject({
      amzDate: '20260102T030405Z',
    });
    expect(byHeader(PLAIN, ['host', 'h', 'Date', '20260102T030405Z'])).toMatchObject({ amzDate: '20260102T030405Z' });
  });

  test.each(['20260102T030405', '20260102T250405Z', '20260230T030405Z', 'yesterday', ''])(
    'is refused as %j',
    (date) => {
      expect(codeOf(() => byHeader(PLAIN, ['host', 'h', 'x-amz-date', date]))).toBe('malformed-date');
    },
  );

  test('is refused where it is missing or is not that of the scope', () => {
    expect(codeOf(() => byHeader(PLAIN, ['host', 'h']))).toBe('malformed-date');
    expect(codeOf(() => byHeader(PLAIN, ['host', 'h', 'x-amz-date', '20260103T030405Z']))).toBe(
      'malformed-authorization',
    );
  });
});

describe('a signed URL', () => {
  test('is read into its parts', () => {
    expect(byQuery(QUERY)).toEqual({
      form: 'v4',
      place: 'query',
      algorithm: 'AWS4-HMAC-SHA256',
      accessKeyId: 'AKID',
      scope: { date: '20260102', region: 'eu-west-1', service: 's3' },
      amzDate: '20260102T030405Z',
      time: new Date('2026-01-02T03:04:05Z'),
      signedHeaders: ['host'],
      signature: SIGNATURE,
      expiresSeconds: 300,
    });
  });

  test('needs all of its parameters but the time it lasts', () => {
    for (const name of ['Algorithm', 'Credential', 'Date', 'SignedHeaders', 'Signature']) {
      const without = QUERY.split('&')
        .filter((pair) => !pair.startsWith(`X-Amz-${name}=`))
        .join('&');
      expect(
        codeOf(() => byQuery(without)),
        name,
      ).toBe('malformed-authorization');
    }
    expect(byQuery(QUERY.replace('&X-Amz-Expires=300', ''))).not.toHaveProperty('expiresSeconds');
  });

  test.each(['0', '604801', '-1', '1e3', '3.5', ''])('does not last %j seconds', (seconds) => {
    expect(codeOf(() => byQuery(QUERY.replace('=300', `=${seconds}`)))).toBe('malformed-authorization');
  });

  test('of Signature Version 2 names its key, once', () => {
    expect(byQuery('AWSAccessKeyId=AKID&Signature=x%3D&Expires=1')).toEqual({
      form: 'v2',
      place: 'query',
      accessKeyId: 'AKID',
    });
    expect(codeOf(() => byQuery('AWSAccessKeyId=AKID'))).toBe('malformed-authorization');
    expect(codeOf(() => byQuery('AWSAccessKeyId=A&AWSAccessKeyId=B&Signature=x'))).toBe('malformed-authorization');
  });
});

describe('two ways to say who sends a request', () => {
  test.each([
    ['header and query', [...DATED, 'authorization', PLAIN], QUERY],
    ['header and Signature Version 2 query', [...DATED, 'authorization', PLAIN], 'AWSAccessKeyId=A&Signature=x'],
    ['another scheme and query', ['host', 'h', 'authorization', 'Bearer t'], QUERY],
    ['a date in the query besides', [...DATED, 'authorization', PLAIN], 'X-Amz-Date=20260102T030405Z'],
    ['a token in the query besides', [...DATED, 'authorization', PLAIN], 'X-Amz-Security-Token=t'],
    ['both versions in the query', ['host', 'h'], `${QUERY}&AWSAccessKeyId=A&Signature=x`],
    ['two authorizations', [...DATED, 'authorization', PLAIN, 'Authorization', PLAIN], ''],
    ['two dates', [...DATED, 'X-Amz-Date', '20260102T030405Z', 'authorization', PLAIN], ''],
    [
      'two payload hashes',
      [...DATED, 'x-amz-content-sha256', 'a', 'x-amz-content-sha256', 'b', 'authorization', PLAIN],
      '',
    ],
    ['two hosts', [...DATED, 'Host', 'other', 'authorization', PLAIN], ''],
    ['two signatures', ['host', 'h'], `${QUERY}&X-Amz-Signature=${SIGNATURE}`],
    ['two spellings of a signature', ['host', 'h'], `${QUERY}&x-amz-signature=${SIGNATURE}`],
  ])('are ambiguous: %s', (_, headers, query) => {
    expect(codeOf(() => byQuery(query, headers))).toBe('ambiguous-authorization');
  });
});

test('P25: a request without any of it is anonymous, not wrong', () => {
  expect(byQuery('list-type=2')).toEqual({ form: 'none' });
});

test('no message quotes the request', () => {
  const canary = 'canary-in-a-field';
  for (const authorization of [
    `AWS4-HMAC-SHA256 ${canary}`,
    `AWS4-${canary} x`,
    PLAIN.replace('AKID', `AK\u00e9${canary}`),
    `AWS ${canary}`,
  ]) {
    try {
      byHeader(authorization);
      expect.unreachable();
    } catch (error) {
      expect(String(error)).not.toContain(canary);
    }
  }
});
