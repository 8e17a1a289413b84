import { describe, expect, test } from 'vitest';
import { EMPTY_SHA256, UNSIGNED_PAYLOAD } from './canonical.ts';
import type { SignableHead } from './head.ts';
import { SigningKey } from './key.ts';
import { presignTarget } from '../testdata/presign.ts';
import { SigningProblem } from './problem.ts';
import { signHead, type Signing } from './sigv4.ts';

const time = new Date('2026-01-02T03:04:05Z');
const secret = Buffer.from('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');
const keyFor = (service: string): SigningKey =>
  SigningKey.derive(secret, { date: '20260102', region: 'eu-west-1', service });
const s3 = keyFor('s3');

function sign(head: Partial<SignableHead>, signing: Partial<Signing> = {}) {
  return signHead(
    { method: 'GET', target: '/b/k', headers: ['Host', 's3.eu-west-1.amazonaws.com'], ...head },
    { signer: s3, accessKeyId: 'AKIDREAL', time, payloadHash: UNSIGNED_PAYLOAD, ...signing },
  );
}
const values = (headers: readonly string[], name: string): string[] =>
  headers.filter((_, at) => at % 2 === 1 && headers[at - 1]!.toLowerCase() === name);

describe('what is sent', () => {
  test('P14: has no session token of the agent, even where the real credentials have none', () => {
    const headers = [
      'host',
      'h',
      'X-Amz-Security-Token',
      'dummy',
      'x_amz_security_token',
      'dummy',
      'x-amz-s3session-token',
      'dummy',
    ];
    const { head, canonical } = sign({ headers });
    expect(head.headers.join('\n')).not.toContain('dummy');
    expect(canonical).not.toContain('dummy');
  });

  test('P14: has the real session token, once, under the signature', () => {
    const { head, canonical } = sign(
      { headers: ['host', 'h', 'x-amz-security-token', 'dummy'] },
      { sessionToken: 'real' },
    );
    expect(values(head.headers, 'x-amz-security-token')).toEqual(['real']);
    expect(canonical).toContain('x-amz-security-token:real\n');
    expect(values(head.headers, 'authorization')[0]).toContain(';x-amz-security-token,');
  });

  test('P8: has the sidecar’s clock and not the agent’s', () => {
    const { head } = sign({
      headers: ['host', 'h', 'X-Amz-Date', '19990101T000000Z', 'Date', 'Fri, 01 Jan 1999 00:00:00 GMT'],
    });
    expect(values(head.headers, 'x-amz-date')).toEqual(['20260102T030405Z']);
    expect(values(head.headers, 'date')).toEqual([]);
  });

  test('has one authorization, the sidecar’s', () => {
    const { head } = sign({ headers: ['host', 'h', 'AUTHORIZATION', 'AWS4-HMAC-SHA256 Credential=AKIDDUMMY'] });
    const [authorization, ...others] = values(head.headers, 'authorization');
    expect(others).toEqual([]);
    expect(authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDREAL\/20260102\/eu-west-1\/s3\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=[0-9a-f]{64}$/,
    );
  });

  test('P2: signs every x-amz- field and content-md5 that it sends', () => {
    const headers = [
      'host',
      'h',
      'Content-MD5',
      'x',
      'X-Amz-Acl',
      'private',
      'x-amz-meta-z',
      '1',
      'x-amz-bypass-governance-retention',
      'true',
    ];
    const { head } = sign({ headers });
    const signed = /SignedHeaders=([^,]*)/.exec(values(head.headers, 'authorization')[0]!)![1]!.split(';');
    const sent = head.headers.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
    expect(
      sent
        .filter((name) => name.startsWith('x-amz-') || name === 'content-md5')
        .filter((name) => !signed.includes(name)),
    ).toEqual([]);
    expect(signed).toContain('x-amz-bypass-governance-retention');
  });

  test('P23: passes on what it does not sign, and adds nothing else', () => {
    const { head } = sign({
      headers: ['host', 'h', 'User-Agent', 'Boto3', 'amz-sdk-invocation-id', '1', 'Range', 'bytes=0-1'],
    });
    expect(head.headers.filter((_, at) => at % 2 === 0)).toEqual([
      'host',
      'User-Agent',
      'amz-sdk-invocation-id',
      'Range',
      'x-amz-date',
      'x-amz-content-sha256',
      'authorization',
    ]);
  });

  test('P17: has a repeated field once', () => {
    const { head, canonical } = sign({ headers: ['host', 'h', 'x-amz-meta-a', '1', 'X-Amz-Meta-A', '2'] });
    expect(values(head.headers, 'x-amz-meta-a')).toEqual(['1,2']);
    expect(canonical).toContain('x-amz-meta-a:1,2\n');
  });

  test('P15: has the query that was signed, without the parameters of the agent’s signature', () => {
    const { head, canonical } = sign({
      target: '/b?prefix=a+b&uploads&X-Amz-Signature=x&X-Amz-Credential=AKIDDUMMY&x-amz-date=1&delimiter=%2f',
    });
    expect(head.target).toBe('/b?delimiter=%2F&prefix=a%20b&uploads=');
    expect(canonical.split('\n')[2]).toBe('delimiter=%2F&prefix=a%20b&uploads=');
  });

  test('P5: for S3 has the path that was signed; for others the agent’s path', () => {
    expect(sign({ target: '/b/a//b/../k(1)' }).head.target).toBe('/b/a//b/../k%281%29');
    const { head, canonical } = sign({ target: '/model/a%3A0/../b' }, { signer: keyFor('bedrock') });
    expect(head.target).toBe('/model/a%3A0/../b');
    expect(canonical.split('\n')[1]).toBe('/model/b');
  });

  test('P16: has bytes that are not ASCII as they came, and they are signed as bytes', () => {
    const café = Buffer.from('café').toString('latin1');
    const { head, signature } = sign({ headers: ['host', 'h', 'x-amz-meta-a', café] });
    expect(values(head.headers, 'x-amz-meta-a')).toEqual([café]);
    // Computed by hand over the bytes 63 61 66 c3 a9, with Python's hashlib and hmac.
    expect(signature).toBe('0a52ce33b091e0085bc1d1c4fc510e5d9f742661d84571156003b46825fd5d2f');
  });
});

describe('a request is refused', () => {
  test('P12: without a host, or with two', () => {
    expect(() => sign({ headers: [] })).toThrow(SigningProblem);
    expect(() => sign({ headers: ['host', 'a', 'Host', 'b'] })).toThrow(SigningProblem);
  });

  test('P12: the host that is signed is the one of the head', () => {
    expect(sign({ headers: ['Host', 'other:8443'] }).canonical).toContain('\nhost:other:8443\n');
  });

  test('with a key of another day', () => {
    expect(() => sign({}, { time: new Date('2026-01-03T00:00:00Z') })).toThrow('another day');
    expect(() => sign({}, { time: new Date('2026-01-01T23:59:59Z') })).toThrow('another day');
  });
});

test('P3: requests of S3 and of others, signed in turns, do not touch each other', () => {
  const [bedrock, path] = [keyFor('bedrock'), '/a%3Ab/./c'];
  const alone = [sign({ target: path }).signature, sign({ target: path }, { signer: bedrock }).signature];
  for (let turn = 0; turn < 3; turn += 1) {
    expect([sign({ target: path }).signature, sign({ target: path }, { signer: bedrock }).signature]).toEqual(alone);
  }
});

describe('a signed URL', () => {
  const presigning = { signer: s3, accessKeyId: 'AKIDREAL', time, expiresSeconds: 300, payloadHash: UNSIGNED_PAYLOAD };
  const head = { method: 'GET', target: '/b/k?X-Amz-Signature=old&a=1', headers: ['host', 'h', 'x-amz-meta-a', '1'] };

  test('has one signature, last, and signs the host alone', () => {
    const target = presignTarget(head, presigning);
    expect(target.match(/X-Amz-Signature=/g)).toHaveLength(1);
    expect(target).toMatch(
      /^\/b\/k\?X-Amz-Algorithm=AWS4-HMAC-SHA256&.*X-Amz-SignedHeaders=host&a=1&X-Amz-Signature=[0-9a-f]{64}$/,
    );
  });

  test('is the token of RDS, byte for byte as botocore makes it but for the order of its parameters', () => {
    const target = presignTarget(
      {
        method: 'GET',
        target: '/?Action=connect&DBUser=agent',
        headers: ['host', 'db.example.eu-west-1.rds.amazonaws.com:5432'],
      },
      { ...presigning, signer: keyFor('rds-db'), expiresSeconds: 900, payloadHash: EMPTY_SHA256 },
    );
    expect(target).toContain('X-Amz-Signature=43984a287be4b801b0c3c08ae28401124b9d2bd15391dd1868ff1db90bc28aaa');
  });

  test.each([0, -1, 1.5, 604_801, Number.NaN])('does not last %j seconds', (expiresSeconds) => {
    expect(() => presignTarget(head, { ...presigning, expiresSeconds })).toThrow(SigningProblem);
  });
});
