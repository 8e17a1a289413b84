import { describe, expect, test } from 'vitest';
import { isSigned, joinRepeated, signedFields } from './fields.ts';
import { SigningProblem } from './problem.ts';

const all = (): boolean => true;

describe('which fields are signed', () => {
  test('P2: every x-amz- field and content-md5 is, since S3 refuses a request with one unsigned', () => {
    for (const name of ['x-amz-acl', 'x-amz-meta-a', 'x-amz-checksum-crc32', 'x-amz-date', 'content-md5']) {
      expect(isSigned(name), name).toBe(true);
    }
  });

  test('P23: what a hop may change is not', () => {
    for (const name of [
      'user-agent',
      'amz-sdk-request',
      'amz-sdk-invocation-id',
      'accept-encoding',
      'content-length',
      'range',
      'x-amzn-trace-id',
      'x-forwarded-for',
      'expect',
      'connection',
    ]) {
      expect(isSigned(name), name).toBe(false);
    }
  });

  test('P6: names in any case are found and stand in lower case', () => {
    expect(signedFields(['X-AMZ-ACL', 'private', 'HOST', 'h'], isSigned)).toEqual({
      canonical: 'host:h\nx-amz-acl:private\n',
      names: 'host;x-amz-acl',
    });
  });
});

describe('canonical values', () => {
  test('are trimmed and have one blank for a run', () => {
    expect(signedFields(['a', '  x \t  y  z\t'], all).canonical).toBe('a:x y z\n');
  });

  test('P16: keep latin1 bytes that look like blanks to unicode', () => {
    const value = Buffer.from('à\u0085').toString('latin1');
    expect(signedFields(['a', `${value}  ${value}`], all).canonical).toBe(`a:${value} ${value}\n`);
  });

  test('may not smuggle a line', () => {
    for (const value of ['a\nx-amz-acl:public-read', 'a\rb', 'a\0b']) {
      expect(() => signedFields(['a', value], all), JSON.stringify(value)).toThrow(SigningProblem);
    }
  });
});

describe('repeated fields', () => {
  const twice = ['X-Amz-Meta-A', 'b', 'other', '1', 'x-amz-meta-a', 'a', 'other', '2'];

  test('P17: are joined by a comma in the order sent', () => {
    expect(signedFields(twice, isSigned)).toEqual({ canonical: 'x-amz-meta-a:b,a\n', names: 'x-amz-meta-a' });
  });

  test('P17: are sent as one line, and those not signed as they came', () => {
    expect(joinRepeated(twice, isSigned)).toEqual(['X-Amz-Meta-A', 'b,a', 'other', '1', 'other', '2']);
    expect(signedFields(joinRepeated(twice, isSigned), isSigned)).toEqual(signedFields(twice, isSigned));
  });
});
