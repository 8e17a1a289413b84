import { describe, expect, test } from 'vitest';
import { SigningProblem } from './problem.ts';
import { formatScope, parseCredential } from './scope.ts';

describe('a credential', () => {
  test('is read into its parts', () => {
    expect(parseCredential('AKID/20260102/eu-west-1/execute-api/aws4_request', true)).toEqual({
      accessKeyId: 'AKID',
      scope: { date: '20260102', region: 'eu-west-1', service: 'execute-api' },
    });
    expect(parseCredential('AKID/20260102/s3/aws4_request', false).scope).toEqual({ date: '20260102', service: 's3' });
  });

  test.each([
    'x/20260101/evil.com#/s3/aws4_request',
    'x/20260101/evil.com/s3/aws4_request',
    'x/20260101/us-east-1/s3.evil.com/aws4_request',
    'x/20260101/us-east-1@evil/s3/aws4_request',
    'x/20260101/us-east-1:8080/s3/aws4_request',
    'x/20260101/../s3/aws4_request',
    'x/20260101//s3/aws4_request',
    'x/20260101/-eu/s3/aws4_request',
    'x/20260101/US-EAST-1/s3/aws4_request',
    `x/20260101/${'a'.repeat(33)}/s3/aws4_request`,
    `x/20260101/us-east-1/${'a'.repeat(64)}/aws4_request`,
    'x/20260101/us-east-1\n/s3/aws4_request',
    'x/20260101/us-east-1/s3\0/aws4_request',
    'x/20260101/us-east-1/s3/aws4_request/',
    'x/20260101/us-east-1/s3/aws4_request\n',
    'x/20260101/us-east-1/s3/AWS4_REQUEST',
    'x/20260101/us-east-1/s3',
    'x/20260230/us-east-1/s3/aws4_request',
    'x/2026010/us-east-1/s3/aws4_request',
    'x/202601011/us-east-1/s3/aws4_request',
    '/20260101/us-east-1/s3/aws4_request',
    'a b/20260101/us-east-1/s3/aws4_request',
    'a\u00e9/20260101/us-east-1/s3/aws4_request',
    `${'a'.repeat(129)}/20260101/us-east-1/s3/aws4_request`,
    '',
  ])('P13: %j is refused, since its parts choose a host', (text) => {
    expect(() => parseCredential(text, true)).toThrow(SigningProblem);
  });

  test('P13: a scope with a region is none of SigV4a, and the other way round', () => {
    expect(() => parseCredential('x/20260101/us-east-1/s3/aws4_request', false)).toThrow(SigningProblem);
    expect(() => parseCredential('x/20260101/s3/aws4_request', true)).toThrow(SigningProblem);
  });
});

test('P13: a scope that is written is checked as well', () => {
  expect(formatScope({ date: '20260102', region: 'auto', service: 's3' })).toBe('20260102/auto/s3/aws4_request');
  expect(() => formatScope({ date: '20260102', region: 'evil.com', service: 's3' })).toThrow(SigningProblem);
  expect(() => formatScope({ date: '20260102', region: 'a', service: 's3/x' })).toThrow(SigningProblem);
});

test('P13: every signing name in use passes', () => {
  for (const service of [
    's3',
    'IoTSecuredTunneling',
    'aws-marketplace',
    'vpc-lattice-svcs',
    'rds-db',
    'ec2',
    's3-object-lambda',
  ]) {
    expect(formatScope({ date: '20260102', region: 'cn-north-1', service })).toContain(service);
  }
});
