import { describe, expect, test } from 'vitest';
import type { SignableHead } from './head.ts';
import { readV2, verifyV2 } from './v2.ts';

/** The examples of the S3 Developer Guide, "Signing and authenticating REST requests", in path style. */
const SECRET = Buffer.from('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY');
const GET: SignableHead = {
  method: 'GET',
  target: '/johnsmith/photos/puppy.jpg',
  headers: [
    'Date',
    'Tue, 27 Mar 2007 19:36:42 +0000',
    'Authorization',
    'AWS AKIAIOSFODNN7EXAMPLE:bWq2s1WEIj+Ydj0vQ697zp+IXMU=',
  ],
};
const PUT: SignableHead = {
  method: 'PUT',
  target: '/johnsmith/photos/puppy.jpg',
  headers: [
    'Content-Type',
    'image/jpeg',
    'Content-Length',
    '94328',
    'Date',
    'Tue, 27 Mar 2007 21:15:45 +0000',
    'Authorization',
    'AWS AKIAIOSFODNN7EXAMPLE:MyyxeRY7whkBe+bq8fHCL/2kKUg=',
  ],
};
const QUERY: SignableHead = {
  method: 'GET',
  target:
    '/johnsmith/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620',
  headers: ['Host', 'johnsmith.s3.amazonaws.com'],
};

function verified(head: SignableHead, place: 'header' | 'query', secret = SECRET): boolean {
  return verifyV2(head, readV2(head, place), secret);
}

describe('an inbound version 2 signature', () => {
  test('of the published examples holds', () => {
    expect(verified(GET, 'header')).toBe(true);
    expect(verified(PUT, 'header')).toBe(true);
    expect(verified(QUERY, 'query')).toBe(true);
    expect(readV2(QUERY, 'query').expires).toBe(1175139620);
  });

  test('fails with another secret, path, method, date or content type', () => {
    expect(verified(GET, 'header', Buffer.from('other'))).toBe(false);
    expect(verified({ ...GET, target: '/johnsmith/photos/kitten.jpg' }, 'header')).toBe(false);
    expect(verified({ ...GET, method: 'DELETE' }, 'header')).toBe(false);
    expect(
      verified({ ...PUT, headers: PUT.headers.map((one) => (one === 'image/jpeg' ? 'text/html' : one)) }, 'header'),
    ).toBe(false);
    expect(verified({ ...QUERY, target: QUERY.target.replace('1175139620', '2175139620') }, 'query')).toBe(false);
  });

  test('covers subresources and x-amz fields, and no other parameter', () => {
    expect(verified({ ...GET, target: `${GET.target}?acl` }, 'header')).toBe(false);
    expect(verified({ ...GET, target: `${GET.target}?prefix=a` }, 'header')).toBe(true);
    expect(verified({ ...GET, headers: [...GET.headers, 'x-amz-acl', 'public-read'] }, 'header')).toBe(false);
  });

  test.each([
    ['twice', '&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D'],
    ['with two ends', '&Expires=1'],
  ])('that is there %s is refused', (_, more) => {
    expect(() => readV2({ ...QUERY, target: QUERY.target + more }, 'query')).toThrow('version 2 signature');
  });

  test('that is no SHA-1 is refused', () => {
    const short = { ...QUERY, target: QUERY.target.replace('NpgC', '') };
    expect(() => readV2(short, 'query')).toThrow('version 2 signature');
  });
});
