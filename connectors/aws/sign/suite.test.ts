import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { EcdsaKey } from './sigv4a.ts';
import { SigningKey, type Signer } from './key.ts';
import { presignTarget } from '../testdata/presign.ts';
import { type SignedHead, signHead } from './sigv4.ts';
import { canonicalRequest, sha256Latin1 } from './canonical.ts';
import { signedFields } from './fields.ts';
import { stringToSign } from './string-to-sign.ts';
import { canonicalPath } from './path.ts';
import { canonicalQuery, parseQuery } from './query.ts';

/** The signing test suite of aws-c-auth (Apache-2.0; see testdata/NOTICE). */

interface Expected {
  readonly signed: string;
  readonly signature: string;
}
interface Case {
  readonly name: string;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly body?: string;
  readonly normalize: boolean;
  readonly signBody: boolean;
  readonly token?: string;
  readonly omitToken: boolean;
  readonly expected: Readonly<Record<'header' | 'query' | 'ecdsaHeader' | 'ecdsaQuery', Expected>>;
}
interface Suite {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly service: string;
  readonly time: string;
  readonly expiresSeconds: number;
  readonly suiteEcdsa: readonly {
    readonly name: string;
    readonly form: 'header' | 'query';
    readonly signature: string;
  }[];
  readonly cases: readonly Case[];
}

const suite = JSON.parse(
  readFileSync(join(import.meta.dirname, 'testdata', 'aws-signing-test-suite.json'), 'utf8'),
) as Suite;
const time = new Date(suite.time);
const secret = Buffer.from(suite.secretAccessKey);
const ecdsa = EcdsaKey.derive(secret, suite.accessKeyId);
const scope = { date: '20150830', region: suite.region, service: suite.service };
const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

/** A path that is not normalised is signed by the rule of S3; the key is that of the suite's one service. */
function signer(one: Case): Signer {
  const key = SigningKey.derive(secret, scope);
  if (one.normalize) return key;
  return { ...bare(key), scope: { ...scope, service: 's3' } };
}
function ecdsaSigner(one: Case): Signer {
  const key = ecdsa.bind(scope);
  return one.normalize ? key : { ...key, scope: { ...key.scope, service: 's3' } };
}
function bare(key: SigningKey): Signer {
  const { algorithm, scope, scopeText } = key;
  return { algorithm, scope, scopeText, signHex: (text) => key.signHex(text) };
}
function header(one: Case, by: Signer): SignedHead {
  return signHead(headOf(one), {
    signer: by,
    accessKeyId: suite.accessKeyId,
    time,
    payloadHash: hash('sha256', one.body ?? '', 'hex'),
    sendsPayloadHash: one.signBody,
    sessionToken: one.omitToken ? undefined : one.token,
    regionSet: by.algorithm === 'AWS4-HMAC-SHA256' ? undefined : suite.region,
    signs: () => true,
  });
}
function query(one: Case, by: Signer): string {
  return presignTarget(headOf(one), {
    signer: by,
    accessKeyId: suite.accessKeyId,
    time,
    expiresSeconds: suite.expiresSeconds,
    payloadHash: hash('sha256', one.body ?? '', 'hex'),
    sessionToken: one.token,
    tokenUnsigned: one.omitToken,
    regionSet: by.algorithm === 'AWS4-HMAC-SHA256' ? undefined : suite.region,
    signs: () => true,
  });
}
const headOf = ({ method, target, headers }: Case) => ({ method, target: latin1(target), headers });

/** What a signature in the target's query is over. */
function presignedText(one: Case, target: string, by: Signer): string {
  const [path = '', raw = ''] = target.split('?');
  const parameters = parseQuery(raw).filter(
    ([name]) => name !== 'X-Amz-Signature' && !(one.omitToken && name === 'X-Amz-Security-Token'),
  );
  const canonical = canonicalRequest({
    method: one.method,
    path: canonicalPath(path, one.normalize ? 'general' : 's3'),
    query: canonicalQuery(parameters),
    fields: signedFields(one.headers, () => true),
    payloadHash: hash('sha256', one.body ?? '', 'hex'),
  });
  return stringToSign(by.algorithm, '20150830T123600Z', by.scopeText, sha256Latin1(canonical));
}

test('the suite has all of its 38 cases', () => {
  expect(suite.cases).toHaveLength(38);
});

describe.each(suite.cases.map((one) => [one.name, one] as const))('%s', (_, one) => {
  test('is signed by header as the suite signs it', () => {
    const { head, signature } = header(one, signer(one));
    expect(signature).toBe(one.expected.header.signature);
    expect(head.headers.at(-1)).toContain(`SignedHeaders=${one.expected.header.signed},`);
  });

  test('is signed by query as the suite signs it', () => {
    expect(query(one, signer(one))).toMatch(new RegExp(`&X-Amz-Signature=${one.expected.query.signature}$`));
  });

  test('is signed by header with ECDSA over the text that the suite signs', () => {
    const ours = header(one, ecdsaSigner(one));
    const { signature, signed } = one.expected.ecdsaHeader;
    expect(ours.head.headers.at(-1)).toContain(`SignedHeaders=${signed},`);
    expect(ecdsa.verifies(ours.stringToSign, signature)).toBe(true);
    expect(ecdsa.verifies(ours.stringToSign, ours.signature)).toBe(true);
    expect(ecdsa.verifies(`${ours.stringToSign} `, signature)).toBe(false);
  });

  test('is signed by query with ECDSA over the text that the suite signs', () => {
    const by = ecdsaSigner(one);
    const target = query(one, by);
    const text = presignedText(one, target, by);
    expect(ecdsa.verifies(text, one.expected.ecdsaQuery.signature)).toBe(true);
    expect(ecdsa.verifies(text, /X-Amz-Signature=([0-9a-f]+)$/.exec(target)![1]!)).toBe(true);
  });
});

test.each(suite.suiteEcdsa)('the ECDSA signature that the suite ships for $name by $form holds', (shipped) => {
  const one = suite.cases.find(({ name }) => name === shipped.name)!;
  const by = ecdsaSigner(one);
  const text = shipped.form === 'header' ? header(one, by).stringToSign : presignedText(one, query(one, by), by);
  expect(ecdsa.verifies(text, shipped.signature)).toBe(true);
});
