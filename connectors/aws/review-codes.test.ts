import { expect, test } from 'vitest';
import { BucketRegions } from './learnt/bucket-regions.ts';
import { Clocks } from './learnt/clocks.ts';
import { review } from './review.ts';
import { NOW } from './testdata/agent.ts';

function judge(code: string, message = ''): string {
  const learnt = { clocks: new Clocks(), regions: new BucketRegions() };
  const response = { status: 403, reason: '', headers: ['date', 'Fri, 02 Jan 2026 03:24:05 GMT'] };
  const body = Buffer.from(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
  const origin = { scheme: 'https', host: 's3.eu-west-1.amazonaws.com', port: 443 } as const;
  return review(learnt, response, body, { origin, now: NOW }, undefined);
}

/* Codes of "Error responses" in the S3 API Reference and of "Common errors" in the references of the other services. */

test.each(['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture'])('%s is about the time', (code) => {
  expect(judge(code)).toBe('again');
});

test.each(['SignatureDoesNotMatch', 'InvalidSignatureException'])('%s is about the time where it says so', (code) => {
  expect(judge(code)).toBe('pass');
  expect(judge(code, 'Signature expired: 20260102T030405Z is now earlier than 20260102T031905Z')).toBe('again');
  expect(judge(code, 'Signature not yet current: 20260102T030405Z is still later than 20260102T024905Z')).toBe('again');
});

test.each([
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidToken',
  'TokenRefreshRequired',
  'UnrecognizedClientException',
])('%s asks for other credentials', (code) => {
  expect(judge(code)).toBe('lease-anew');
});

test.each(['AccessDenied', 'NoSuchKey', 'ThrottlingException', 'expiredtoken', ''])(
  '%j is the agent’s to hear',
  (code) => {
    expect(judge(code)).toBe('pass');
  },
);
