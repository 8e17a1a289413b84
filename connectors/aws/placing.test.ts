import { type Begun, headerValues, type RequestHead, type Review } from 'secretless-sidecar/connector';
import { requestHead } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { aws } from './index.ts';
import { agentSigns, agentSigns4a, begin, codeOf, get, LOCAL, NOW, scopeOf, send, verified } from './testdata/agent.ts';

const https = (host: string) => ({ scheme: 'https', host, port: 443 }) as const;
const TARGET = { origin: { scheme: 'http', host: 'ceph.internal', port: 7480 }, bound: true } as const;

async function signedFor(begun: Begun): Promise<unknown> {
  const { head } = await send(begun);
  return verified(head, begun.origin).scope;
}

describe('an upstream of the configuration', () => {
  test('is signed for as the configuration says, not as the agent does, at its own scheme and port', async () => {
    const head = agentSigns(get('/photos/k'), { scope: scopeOf('dynamodb', 'us-east-1') });
    const begun = begin(head, { service: 's3', region: 'auto' }, TARGET);
    expect(begun.origin).toEqual(TARGET.origin);
    expect(await signedFor(begun)).toEqual(scopeOf('s3', 'auto'));
  });

  test('is signed for as the agent says where the configuration is silent', async () => {
    const head = agentSigns(get('/photos/k'), { scope: scopeOf('s3', 'us-east-1') });
    expect(await signedFor(begin(head, {}, TARGET))).toEqual(scopeOf('s3', 'us-east-1'));
  });
});

describe('a host of AWS', () => {
  test('of a service that is not known is refused', () => {
    const host = 'nothing.eu-west-1.amazonaws.com';
    const head = agentSigns(get('/', { Host: host }), { scope: scopeOf('nothing') });
    expect(codeOf(() => begin(head, {}, { origin: https(host) }))).toBe('upstream-unclear');
  });

  test('of the whole world is signed for in its own region', async () => {
    const head = agentSigns(get('/', { Host: 'iam.amazonaws.com' }), { scope: scopeOf('iam') });
    expect(await signedFor(begin(head, {}, { origin: https('iam.amazonaws.com') }))).toEqual(
      scopeOf('iam', 'us-east-1'),
    );
  });

  test('of one region takes a request for a set of them under the configured region', async () => {
    const host = 's3.eu-central-1.amazonaws.com';
    const head = agentSigns4a(get('/photos/k', { Host: host }), 's3', { regionSet: '*' });
    const begun = begin(head, { region: 'eu-central-1' }, { origin: https(host) });
    expect(await signedFor(begun)).toEqual(scopeOf('s3', 'eu-central-1'));
    expect(codeOf(() => begin(head, { region: 'eu-west-1' }, { origin: https(host) }))).toBe('upstream-unclear');
  });
});

describe('the address of the sidecar', () => {
  test('takes a request for a set of regions under the configured one, or not at all', async () => {
    const head = agentSigns4a(get('/photos/k'), 's3', { regionSet: '*' });
    const begun = begin(head, { region: 'eu-central-1' });
    expect(begun.origin.host).toBe('s3.eu-central-1.amazonaws.com');
    expect(await signedFor(begun)).toEqual(scopeOf('s3', 'eu-central-1'));
    expect(codeOf(() => begin(head))).toBe('upstream-unclear');
  });

  test('leads to the host of a directory bucket, without the bucket in the path', async () => {
    const head = agentSigns(get('/data--euw1-az1--x-s3/a/b'), { scope: scopeOf('s3express') });
    const begun = begin(head);
    expect(begun.origin.host).toBe('data--euw1-az1--x-s3.s3express-euw1-az1.eu-west-1.amazonaws.com');
    expect((await send(begun)).head.target).toBe('/a/b');
    expect(begun.facts!(begun.head).aws).toMatchObject({ bucket: 'data--euw1-az1--x-s3', key: 'a/b' });
  });

  test('knows what is asked of the control plane of S3', () => {
    const headers = { Host: LOCAL, 'x-amz-account-id': '123456789012' };
    const head = agentSigns(requestHead('GET', '/_aws/s3-control/v20180820/accessgrantsinstance/dataaccess', headers));
    const begun = begin(head);
    expect(begun.origin.host).toBe('123456789012.s3-control.eu-west-1.amazonaws.com');
    expect(begun.facts!(begun.head).aws).toMatchObject({ action: 'GetDataAccess' });
  });
});

describe('the region that an answer names', () => {
  const moved = { status: 301, reason: '', headers: ['x-amz-bucket-region', 'eu-central-1'] };
  const service = aws.open({});
  const asked = (head: RequestHead): Begun => service.begin!({ head, basePath: '', bound: false, now: NOW });
  const judge = (begun: Begun): Review => begun.review!(moved, Buffer.alloc(0), { origin: begun.origin, now: NOW });

  test('is of its bucket, however that is written', () => {
    expect(judge(asked(agentSigns(get('/my%62ucket/k'))))).toBe('again');
    expect(asked(agentSigns(get('/mybucket'))).origin.host).toBe('s3.eu-central-1.amazonaws.com');
    expect(asked(agentSigns(get('/other/k'))).origin.host).toBe('s3.eu-west-1.amazonaws.com');
  });

  test('is not learnt from other services, the control plane, no bucket, or a host that was named', () => {
    const control = requestHead('GET', '/_aws/s3-control/v20180820/accessgrantsinstance/dataaccess', {
      Host: LOCAL,
      'x-amz-account-id': '123456789012',
    });
    const heads = [agentSigns(get('/x'), { scope: scopeOf('lambda') }), agentSigns(control), agentSigns(get('/'))];
    for (const head of heads) expect(judge(asked(head))).toBe('pass');
    const host = 's3.eu-west-1.amazonaws.com';
    const named = agentSigns(get('/third/k', { Host: host }));
    const begun = service.begin!({ head: named, origin: https(host), basePath: '', bound: false, now: NOW });
    expect(judge(begun)).toBe('pass');
    expect(asked(agentSigns(get('/third/k'))).origin.host).toBe(host);
  });

  test('of a bucket that cannot be read is not asked for', () => {
    const foreign = agentSigns(get('/photos'), {
      key: { accessKeyId: 'AKIASOMEBODYELSE1', secretAccessKey: 'unknown' },
    });
    expect(codeOf(() => begin({ ...foreign, target: '/%zz/k' }, { foreign: 'sign' }))).toBe('signature-malformed');
  });
});

describe('a request that passes', () => {
  const host = 's3.eu-west-1.amazonaws.com';
  const passing = (target: string) => begin(get(target, { Host: host }), { unsigned: 'pass' }, { origin: https(host) });

  test('is known to policy all the same, path and all', () => {
    const begun = passing('/photos/a//b/../c');
    expect(begun.facts!(begun.head)).toMatchObject({
      aws: { action: 'GetObject', bucket: 'photos', key: 'a//b/../c' },
    });
    expect(begun.readsPathLiterally!(begun.head)).toBe(true);
  });
});

describe('what is copied from', () => {
  const asked = (value: string): RequestHead =>
    agentSigns(requestHead('PUT', '/photos/k', { Host: LOCAL, 'x-amz-copy-source': value }));
  const sourceOf = (head: RequestHead): unknown => begin(head).facts!(head).aws?.source;

  test('is read through its encoding', () => {
    expect(sourceOf(asked('%70ayroll/a%2Fb'))).toEqual({ bucket: 'payroll', key: 'a/b' });
  });

  test('is unclear where it is said twice', () => {
    const { headers, ...line } = asked('/payroll/a,/payroll/b');
    const at = headers.indexOf('/payroll/a,/payroll/b');
    const twice = [...headers.slice(0, at), '/payroll/a', 'x-amz-copy-source', '/payroll/b', ...headers.slice(at + 1)];
    expect(sourceOf({ ...line, headers: twice })).toEqual({});
  });
});

test('a refusal speaks the dialect of the service that was asked', () => {
  const refused = (head: RequestHead): string[] => {
    const begun = begin(head);
    const answer = begun.refuse!(codeError(), head, 'c0ffee');
    return headerValues(answer.headers, 'content-type');
  };
  expect(refused(agentSigns(get('/photos/k')))).toEqual(['application/xml']);
  const json = requestHead('POST', '/', { Host: LOCAL, 'X-Amz-Target': 'DynamoDB_20120810.GetItem' });
  expect(refused(agentSigns(json, { scope: scopeOf('dynamodb') }))[0]).toMatch(/json/);
});

function codeError() {
  try {
    begin(get('/photos/k'));
  } catch (thrown) {
    return thrown as Parameters<NonNullable<Begun['refuse']>>[0];
  }
  throw new Error('an unsigned request was taken');
}

describe('hosts that requests are taken for without an address', () => {
  test.each([
    ['s3.eu-central-1.amazonaws.com', true],
    ['a.bucket.s3.eu-central-1.amazonaws.com', true],
    ['dynamodb.us-gov-west-1.amazonaws.com', true],
    ['sts.amazonaws.com', true],
    ['iam.amazonaws.com', true],
    ['s3.cn-north-1.amazonaws.com.cn', true],
    ['abc123.execute-api.eu-west-1.amazonaws.com', true],
    ['id.lambda-url.eu-west-1.on.aws', true],
    ['vpce-1-2.sqs.eu-west-1.vpce.amazonaws.com', true],
    ['unknown-thing.eu-west-1.amazonaws.com', false],
    ['amazonaws.com', false],
    ['aws.amazon.com', false],
    ['console.aws.amazon.com', false],
    ['s3.eu-central-1.amazonaws.com.evil.test', false],
    ['s3.eu-central-1.amazonaws.com.', false],
    ['s3-eu-central-1.evilamazonaws.com', false],
    ['192.0.2.1', false],
    ['localhost', false],
    ['169.254.169.254', false],
  ])('%s: %s', (host, taken) => {
    expect(aws.reaches!({}, host)).toBe(taken);
  });
});
