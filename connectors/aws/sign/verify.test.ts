import { describe, expect, test } from 'vitest';
import { readAuthentication, type V4Authentication } from './authentication.ts';
import { EMPTY_SHA256, UNSIGNED_PAYLOAD } from './canonical.ts';
import type { SignableHead } from './head.ts';
import { SigningKey } from './key.ts';
import { presignTarget } from '../testdata/presign.ts';
import { SigningProblem } from './problem.ts';
import { signHead } from './sigv4.ts';
import { EcdsaKey } from './sigv4a.ts';
import { announcedPayloadHash, hmacVerifier, verifyInbound } from './verify.ts';

/** What an agent holds: it opens nothing but the sidecar's door. */
const dummy = Buffer.from('dummy-secret-of-the-agent');
const time = new Date('2026-01-02T03:04:05Z');
const keyFor = (service: string, secret = dummy): SigningKey =>
  SigningKey.derive(secret, { date: '20260102', region: 'eu-west-1', service });
const verifier = hmacVerifier(keyFor('s3'));
const agentHead: SignableHead = {
  method: 'PUT',
  target: '/b/a%20key?partNumber=1&uploadId=x',
  headers: ['Host', '127.0.0.1:8000', 'X-Amz-Meta-A', ' a  b ', 'Content-Type', 'text/plain', 'User-Agent', 'x'],
};

function byHeader(service = 's3', payloadHash = UNSIGNED_PAYLOAD, sendsPayloadHash = true): SignableHead {
  return signHead(agentHead, { signer: keyFor(service), accessKeyId: 'AKID', time, payloadHash, sendsPayloadHash })
    .head;
}
function read(head: SignableHead): V4Authentication {
  const authentication = readAuthentication(head);
  if (authentication.form !== 'v4') throw new Error('not signed');
  return authentication;
}
const verify = (head: SignableHead, by = verifier, bodySha256?: string) =>
  verifyInbound(head, read(head), by, bodySha256);
const replaced = (head: SignableHead, from: string, to: string): SignableHead => ({
  ...head,
  target: head.target.replace(from, to),
  headers: head.headers.map((text) => text.replace(from, to)),
});

describe('a request signed by header', () => {
  test('is verified with the secret of the agent', () => {
    expect(verify(byHeader())).toEqual({ verified: true, unsigned: [] });
  });

  test('is not verified with another secret', () => {
    expect(verify(byHeader(), hmacVerifier(keyFor('s3', Buffer.from('another'))))).toEqual({
      verified: false,
      reason: 'signature',
    });
  });

  test.each([
    ['method', { method: 'GET' }],
    ['path', { target: '/b/another%20key?partNumber=1&uploadId=x' }],
    ['query', { target: '/b/a%20key?partNumber=2&uploadId=x' }],
    ['a parameter more', { target: '/b/a%20key?partNumber=1&uploadId=x&acl' }],
  ])('is not verified with another %s', (_, change) => {
    expect(verify({ ...byHeader(), ...change })).toEqual({ verified: false, reason: 'signature' });
  });

  test.each([
    ['host', '127.0.0.1:8000', '127.0.0.1:8001'],
    ['signed field', 'text/plain', 'text/html'],
    ['payload hash', UNSIGNED_PAYLOAD, EMPTY_SHA256],
    ['second', '030405Z', '030406Z'],
    ['region', 'eu-west-1', 'eu-west-2'],
  ])('is not verified with another %s', (_, from, to) => {
    expect(verify(replaced(byHeader(), from, to))).toEqual({ verified: false, reason: 'signature' });
  });

  test('is not verified with one digit of the signature changed, wherever it is', () => {
    const head = byHeader();
    const { signature } = read(head);
    for (let at = 0; at < 64; at += 1) {
      const digit = signature[at] === '0' ? '1' : '0';
      const wrong = `${signature.slice(0, at)}${digit}${signature.slice(at + 1)}`;
      expect(verify(replaced(head, signature, wrong)).verified, `digit ${at}`).toBe(false);
    }
  });

  test('is not verified without a field that it signed', () => {
    const head = byHeader();
    const at = head.headers.indexOf('Content-Type');
    const headers = head.headers.toSpliced(at, 2);
    expect(verify({ ...head, headers })).toEqual({ verified: false, reason: 'signed-field-missing' });
  });

  test('is verified in the spellings that a hop may choose', () => {
    const head = byHeader();
    const headers = head.headers.map((text, at) => (at % 2 === 0 ? text.toUpperCase() : text));
    expect(verify({ ...head, headers }).verified).toBe(true);
    expect(verify({ ...head, target: '/b/a%20key?uploadId=x&partNumber=1' }).verified).toBe(true);
  });

  test('P26: x-amz- fields outside the signature are named, so that nobody trusts them', () => {
    const head = byHeader();
    const headers = [...head.headers, 'X-Amz-Acl', 'public-read', 'accept', '*/*'];
    expect(verify({ ...head, headers })).toEqual({ verified: true, unsigned: ['x-amz-acl'] });
  });

  test('of another service than S3 needs the hash of its body where none is announced', () => {
    const head = byHeader('dynamodb', EMPTY_SHA256, false);
    const by = hmacVerifier(keyFor('dynamodb'));
    expect(verify(head, by)).toEqual({ verified: false, reason: 'body-hash-needed' });
    expect(verify(head, by, EMPTY_SHA256).verified).toBe(true);
    expect(verify(head, by, '0'.repeat(64)).verified).toBe(false);
  });
});

describe('a signed URL', () => {
  const presigning = { accessKeyId: 'AKID', time, expiresSeconds: 60 };
  const get = { method: 'GET', target: '/b/a%20key?versionId=1', headers: ['host', 'h'] };

  test('of S3 is verified, and not with any part changed', () => {
    const target = presignTarget(get, { ...presigning, signer: keyFor('s3'), payloadHash: UNSIGNED_PAYLOAD });
    const head = { ...get, target };
    expect(verify(head)).toEqual({ verified: true, unsigned: [] });
    for (const [from, to] of [
      ['versionId=1', 'versionId=2'],
      ['Expires=60', 'Expires=61'],
      ['a%20key', 'b%20key'],
      ['AKID%2F', 'AKIE%2F'],
    ] as const) {
      expect(verify(replaced(head, from, to)).verified, from).toBe(false);
    }
    expect(verify({ ...head, method: 'PUT' }).verified).toBe(false);
    expect(verify({ ...head, headers: ['host', 'other'] }).verified).toBe(false);
  });

  test('of another service is over its body', () => {
    const target = presignTarget(get, { ...presigning, signer: keyFor('sts'), payloadHash: EMPTY_SHA256 });
    expect(verify({ ...get, target }, hmacVerifier(keyFor('sts'))).verified).toBe(false);
    expect(verify({ ...get, target }, hmacVerifier(keyFor('sts')), EMPTY_SHA256).verified).toBe(true);
  });

  test('may announce its payload hash as a parameter, once', () => {
    const authentication = read({
      ...get,
      target: presignTarget(get, { ...presigning, signer: keyFor('s3'), payloadHash: UNSIGNED_PAYLOAD }),
    });
    const announced = (target: string) => announcedPayloadHash({ ...get, target }, authentication);
    expect(announced('/b?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD')).toBe(UNSIGNED_PAYLOAD);
    expect(() => announced('/b?X-Amz-Content-Sha256=A&x-amz-content-sha256=B')).toThrow(SigningProblem);
    expect(() => announced('/b?X-Amz-Content-Sha256=a%0Ab')).toThrow(SigningProblem);
  });
});

test('a request signed with ECDSA is verified with the key of the agent', () => {
  const key = EcdsaKey.derive(dummy, 'AKID');
  const signer = key.bind({ date: '20260102', service: 's3' });
  const { head } = signHead(agentHead, {
    signer,
    accessKeyId: 'AKID',
    time,
    payloadHash: UNSIGNED_PAYLOAD,
    regionSet: '*',
  });
  expect(verify(head, key)).toEqual({ verified: true, unsigned: [] });
  expect(verify(replaced(head, 'text/plain', 'text/html'), key).verified).toBe(false);
  expect(verify(head, EcdsaKey.derive(Buffer.from('another'), 'AKID')).verified).toBe(false);
});
