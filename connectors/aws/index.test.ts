import { createHash, randomBytes } from 'node:crypto';
import {
  type Arrival,
  type Begun,
  formatAuthority,
  headerValues,
  type Origin,
  type RequestHead,
  SidecarError,
} from 'secretless-sidecar/connector';
import { credentialsOf, requestHead } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { type Config, WELL_KNOWN_KEY } from './config.ts';
import { aws } from './index.ts';
import { readAuthentication, type V4Authentication } from './sign/authentication.ts';
import { UNSIGNED_PAYLOAD } from './sign/canonical.ts';
import { SigningKey } from './sign/key.ts';
import { presignTarget } from './testdata/presign.ts';
import type { Scope } from './sign/scope.ts';
import { EcdsaKey } from './sign/sigv4a.ts';
import { signHead } from './sign/sigv4.ts';
import { hmacVerifier, verifyInbound } from './sign/verify.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const REAL = { accessKeyId: 'AKIAREALREALREAL1', secretAccessKey: 'the-real-secret', sessionToken: 'the-real-token' };
const LOCAL = '127.0.0.1:8009';
const EMPTY = createHash('sha256').digest('hex');

function scopeOf(service: string, region = 'eu-west-1'): Scope {
  return { date: '20260102', region, service };
}

interface SignOptions {
  readonly scope?: Scope;
  readonly key?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly payloadHash?: string;
  readonly sendsPayloadHash?: boolean;
  readonly sessionToken?: string;
}

/** What an SDK sends that holds nothing but the made-up key. */
function agentSigns(head: RequestHead, options: SignOptions = {}): RequestHead {
  const { scope = scopeOf('s3'), key = WELL_KNOWN_KEY, payloadHash = EMPTY } = options;
  const signer = SigningKey.derive(Buffer.from(key.secretAccessKey), scope);
  return signHead(head, { ...options, signer, accessKeyId: key.accessKeyId, time: NOW, payloadHash }).head;
}

function get(target: string, headers: Record<string, string> = {}): RequestHead {
  return requestHead('GET', target, { Host: LOCAL, ...headers });
}

function arrive(head: RequestHead, more: Partial<Arrival> = {}): Arrival {
  return { head, basePath: '', bound: false, now: NOW, ...more };
}

function begin(head: RequestHead, config: Config = {}, more: Partial<Arrival> = {}): Begun {
  return aws.open(config).begin!(arrive(head, more));
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(SidecarError);
    return (thrown as SidecarError).code;
  }
  return 'none';
}

async function send(begun: Begun, values: Record<string, string> = REAL, bodySha256?: string) {
  const context = {
    origin: begun.origin,
    now: NOW,
    version: 'v1',
    ...(bodySha256 === undefined ? {} : { bodySha256 }),
  };
  // The core takes Host off before, and writes that of the origin after.
  return begun.authenticate(withoutHost(begun.head), credentialsOf(values), context);
}

function withoutHost(head: RequestHead): RequestHead {
  const headers: string[] = [];
  for (let at = 0; at < head.headers.length; at += 2) {
    if (head.headers[at]!.toLowerCase() !== 'host') headers.push(head.headers[at]!, head.headers[at + 1]!);
  }
  return { ...head, headers };
}

/** What the upstream makes of it: verified with the real secret for the scope, or not. */
function verifiedUpstream(head: RequestHead, origin: Origin, bodySha256?: string): V4Authentication {
  expect(headerValues(head.headers, 'host')).toEqual([]);
  const sent = { ...head, headers: [...head.headers, 'Host', formatAuthority(origin)] };
  const authentication = readAuthentication(head) as V4Authentication;
  const verifier = hmacVerifier(SigningKey.derive(Buffer.from(REAL.secretAccessKey), authentication.scope));
  expect(verifyInbound(sent, authentication, verifier, bodySha256)).toEqual({ verified: true, unsigned: [] });
  expect(authentication.accessKeyId).toBe(REAL.accessKeyId);
  return authentication;
}

describe('a request signed with the made-up key', () => {
  test('goes to the endpoint of its scope, signed with the real one and nothing of the other', async () => {
    const head = agentSigns(get('/photos/a%20b.jpg?versionId=1', { 'x-amz-meta-a': 'b' }), {
      sessionToken: 'made-up-token',
    });
    const begun = begin(head);
    expect(begun.origin).toEqual({ scheme: 'https', host: 's3.eu-west-1.amazonaws.com', port: 443 });
    const { head: sent } = await send(begun);
    expect(verifiedUpstream(sent, begun.origin).scope).toEqual(scopeOf('s3'));
    expect(sent.target).toBe('/photos/a%20b.jpg?versionId=1');
    expect(headerValues(sent.headers, 'x-amz-security-token')).toEqual([REAL.sessionToken]);
    expect(sent.headers.join(' ')).not.toContain(WELL_KNOWN_KEY.accessKeyId);
    expect(sent.headers.join(' ')).not.toContain('made-up-token');
  });

  test('loses its session token where the real key has none', async () => {
    const begun = begin(agentSigns(get('/photos/k'), { sessionToken: 'made-up-token' }));
    const { head } = await send(begun, { accessKeyId: REAL.accessKeyId, secretAccessKey: REAL.secretAccessKey });
    expect(headerValues(head.headers, 'x-amz-security-token')).toEqual([]);
  });

  test('is signed with the clock of the sidecar', async () => {
    const scope = { ...scopeOf('s3'), date: '20250101' };
    const signer = SigningKey.derive(Buffer.from(WELL_KNOWN_KEY.secretAccessKey), scope);
    const late = signHead(get('/photos/k'), {
      signer,
      accessKeyId: WELL_KNOWN_KEY.accessKeyId,
      time: new Date('2025-01-01T00:00:00Z'),
      payloadHash: EMPTY,
    });
    const begun = begin(late.head);
    expect(verifiedUpstream((await send(begun)).head, begun.origin).amzDate).toBe('20260102T030405Z');
  });

  test('takes CyberArk’s name of the session token, and the line break that ends a file', async () => {
    const begun = begin(agentSigns(get('/photos/k')));
    const values = {
      accessKeyId: `${REAL.accessKeyId}\n`,
      secretAccessKey: `${REAL.secretAccessKey}\r\n`,
      accessToken: `${REAL.sessionToken}\n`,
    };
    const { head } = await send(begun, values);
    verifiedUpstream(head, begun.origin);
    expect(headerValues(head.headers, 'x-amz-security-token')).toEqual([REAL.sessionToken]);
  });

  test.each(['a\r\nb', 'a b', 'key/with', ''])(
    'an access key id that is none (%j) is not sent',
    async (accessKeyId) => {
      const begun = begin(agentSigns(get('/photos/k')));
      await expect(send(begun, { ...REAL, accessKeyId })).rejects.toMatchObject({ code: 'credential-unfit' });
    },
  );

  test('keeps the bytes of S3 keys, whatever they look like', async () => {
    for (const key of ['a//b', '..%2Fx', '../x', 'a+b', 'caf%C3%A9', '%25', "(1)&=~*'!"]) {
      const begun = begin(agentSigns(get(`/photos/${key}`)));
      expect(begun.readsPathLiterally!(begun.head)).toBe(true);
      const { head } = await send(begun);
      verifiedUpstream(head, begun.origin);
      expect(decodeURIComponent(head.target)).toBe(`/photos/${decodeURIComponent(key)}`);
    }
  });

  test('of another service is signed over the normalised path and sent as it came', async () => {
    const head = agentSigns(get('/_aws/bedrock-runtime/model/anthropic.claude-3%3A0/converse'), {
      scope: scopeOf('bedrock'),
    });
    const begun = begin(head);
    expect(begun.origin.host).toBe('bedrock-runtime.eu-west-1.amazonaws.com');
    const { head: sent } = await send(begun);
    expect(sent.target).toBe('/model/anthropic.claude-3%3A0/converse');
    verifiedUpstream(sent, begun.origin);
    expect(begun.readsPathLiterally!(begun.head)).toBe(false);
  });

  test('tells policy what it is', () => {
    const head = agentSigns(get('/photos/2026/a.jpg'));
    const begun = begin(head);
    expect(begun.facts!(begun.head)).toEqual({
      aws: { service: 's3', region: 'eu-west-1', action: 'GetObject', bucket: 'photos', key: '2026/a.jpg' },
      returnsCredentials: false,
    });
  });

  test('that copies tells from where, and says so where that cannot be read', () => {
    const copy = (source: string): unknown => {
      const head = agentSigns(requestHead('PUT', '/photos/b', { Host: LOCAL, 'x-amz-copy-source': source }));
      return begin(head).facts!(head).aws?.source;
    };
    expect(copy('/secret-bucket/a%20b?versionId=x')).toEqual({ bucket: 'secret-bucket', key: 'a b' });
    expect(copy('secret-bucket/a//b')).toEqual({ bucket: 'secret-bucket', key: 'a//b' });
    expect(copy('arn:aws:s3:eu-west-1:123456789012:accesspoint/x/object/k')).toEqual({});
    expect(copy('nothing')).toEqual({});
    expect(copy('b/%zz')).toEqual({});
  });
});

describe('who signed', () => {
  const agents = {
    reviewer: { accessKeyId: 'SECRETLESSREVIEWER', secretAccessKey: 'made-up-for-the-reviewer' },
    builder: { accessKeyId: 'SECRETLESSBUILDER1', secretAccessKey: 'made-up-for-the-builder' },
  };

  test('with the well-known key is whoever the listener belongs to', () => {
    expect(begin(agentSigns(get('/photos/k'))).agent).toBeUndefined();
  });

  test('with a key of its own is that agent', () => {
    for (const [agent, key] of Object.entries(agents)) {
      expect(begin(agentSigns(get('/photos/k'), { key }), { agents }).agent).toBe(agent);
    }
  });

  test('with the key id of another and its own secret is refused', () => {
    const key = { ...agents.builder, accessKeyId: agents.reviewer.accessKeyId };
    expect(codeOf(() => begin(agentSigns(get('/photos/k'), { key }), { agents }))).toBe('caller-unproven');
  });

  test('with the well-known key, where agents have their own, is foreign', () => {
    expect(codeOf(() => begin(agentSigns(get('/photos/k')), { agents }))).toBe('foreign-credential');
  });

  test('and what was changed on the way is refused', () => {
    const signed = agentSigns(get('/photos/k', { 'x-amz-acl': 'private' }));
    const changed: readonly RequestHead[] = [
      { ...signed, target: '/photos/other' },
      { ...signed, target: '/photos/k?acl' },
      { ...signed, method: 'DELETE' },
      { ...signed, headers: signed.headers.map((value) => (value === 'private' ? 'public-read' : value)) },
      { ...signed, headers: [...signed.headers, 'x-amz-meta-more', 'x'] },
      { ...signed, headers: signed.headers.map((value) => (value === LOCAL ? 'evil.example' : value)) },
    ];
    for (const head of changed) expect(codeOf(() => begin(head))).toBe('caller-unproven');
  });

  test('is proven by the body where nothing else says its hash', () => {
    const body = Buffer.from('{"TableName":"orders"}');
    const sha256 = createHash('sha256').update(body).digest('hex');
    const head = requestHead('POST', '/', {
      Host: LOCAL,
      'Content-Length': String(body.length),
      'X-Amz-Target': 'DynamoDB_20120810.GetItem',
    });
    const begun = begin(agentSigns(head, { scope: scopeOf('dynamodb'), payloadHash: sha256, sendsPayloadHash: false }));
    expect(begun.body!(begun.head)).toMatchObject({ digest: { memory: 2 ** 20 } });
    expect(() => begun.prove!(sha256)).not.toThrow();
    expect(codeOf(() => begun.prove!(EMPTY))).toBe('caller-unproven');
  });

  test('a request that is signed twice, or cannot be read, is malformed', () => {
    const signed = agentSigns(get('/photos/k'));
    const twice = { ...signed, headers: [...signed.headers, 'X-Amz-Date', '20260102T030405Z'] };
    const both = { ...signed, target: '/photos/k?X-Amz-Signature=aa' };
    const scope = { ...signed, headers: signed.headers.map((value) => value.replace('eu-west-1', 'evil.com#')) };
    for (const head of [twice, both, scope]) expect(codeOf(() => begin(head))).toBe('signature-malformed');
  });
});

describe('a request of nobody we know', () => {
  const foreign = agentSigns(get('/photos/k'), {
    key: { accessKeyId: 'AKIASOMEBODYELSE1', secretAccessKey: 'unknown' },
  });
  const origin = { scheme: 'https', host: 's3.eu-west-1.amazonaws.com', port: 443 } as const;

  test('is refused', () => {
    expect(codeOf(() => begin(foreign))).toBe('foreign-credential');
    expect(codeOf(() => begin(get('/photos/k', { Authorization: 'Bearer x' })))).toBe('foreign-credential');
    expect(codeOf(() => begin(get('/photos/k')))).toBe('caller-unproven');
  });

  test('passes byte for byte where the configuration says so', () => {
    const begun = begin(foreign, { foreign: 'pass' }, { origin });
    expect(begun).toMatchObject({ credentialed: false, origin, head: foreign });
    const plain = get('/photos/k');
    expect(begin(plain, { unsigned: 'pass' }, { origin })).toMatchObject({ credentialed: false, origin, head: plain });
  });

  test('is signed where the configuration says so, by the scope it has or by what is configured', async () => {
    const begun = begin(foreign, { foreign: 'sign' });
    expect(begun.agent).toBeUndefined();
    verifiedUpstream((await send(begun)).head, begun.origin);
    const plain = begin(get('/photos/k'), { unsigned: 'sign', service: 's3', region: 'eu-central-1' });
    expect(verifiedUpstream((await send(plain)).head, plain.origin).scope.region).toBe('eu-central-1');
    expect(codeOf(() => begin(get('/photos/k'), { unsigned: 'sign' }))).toBe('upstream-unclear');
  });

  test('with a bearer token is never signed besides', () => {
    expect(codeOf(() => begin(get('/photos/k', { Authorization: 'Bearer x' }), { foreign: 'sign' }))).toBe(
      'foreign-credential',
    );
  });
});

describe('where a request goes', () => {
  test('a host that only the request names must be one of AWS', () => {
    for (const host of ['evil.example', 's3.eu-west-1.amazonaws.com.evil.example', 'evil-amazonaws.com']) {
      const origin = { scheme: 'http', host, port: 80 } as const;
      const head = agentSigns(get('/photos/k', { Host: host }));
      expect(codeOf(() => begin(head, {}, { origin }))).toBe('no-service');
      expect(
        codeOf(() =>
          begin(get('/photos/k', { Host: host }), { unsigned: 'sign', service: 's3', region: 'eu-west-1' }, { origin }),
        ),
      ).toBe('no-service');
    }
  });

  test('a host of AWS is reached over https, and takes its own scope alone', async () => {
    const host = 'photos.s3.eu-west-1.amazonaws.com';
    const origin = { scheme: 'http', host, port: 80 } as const;
    const begun = begin(agentSigns(get('/k', { Host: host })), {}, { origin });
    expect(begun.origin).toEqual({ scheme: 'https', host, port: 443 });
    expect(begun.facts!(begun.head).aws).toMatchObject({ bucket: 'photos', key: 'k' });
    verifiedUpstream((await send(begun)).head, begun.origin);
    const wrong = agentSigns(get('/k', { Host: host }), { scope: scopeOf('dynamodb') });
    expect(codeOf(() => begin(wrong, {}, { origin }))).toBe('upstream-unclear');
  });

  test('a target is where the configuration says, under its service and region', async () => {
    const origin = { scheme: 'https', host: 'minio.internal', port: 443 } as const;
    const begun = begin(
      agentSigns(get('/photos/k')),
      { service: 's3', region: 'auto' },
      { origin, bound: true, basePath: '/store' },
    );
    expect(begun.origin).toEqual(origin);
    expect(begun.head.target).toBe('/store/photos/k');
    expect(verifiedUpstream((await send(begun)).head, origin).scope.region).toBe('auto');
  });

  test('a scope that names no place is refused with what to set', () => {
    const begun = () =>
      begin(agentSigns(requestHead('POST', '/unknown-path', { Host: LOCAL }), { scope: scopeOf('ses') }));
    expect(begun).toThrow('_aws/mail-manager');
    expect(codeOf(() => begin(agentSigns(get('/photos/k'), { scope: scopeOf('s3', 'mars-1') })))).toBe(
      'upstream-unclear',
    );
  });

  test('the region of a bucket is learnt from the answer that names it', () => {
    const service = aws.open({});
    const head = agentSigns(get('/photos/k'));
    const first = service.begin!(arrive(head));
    const moved = { status: 301, reason: '', headers: ['x-amz-bucket-region', 'eu-central-1'] };
    expect(first.review!(moved, Buffer.alloc(0), { origin: first.origin, now: NOW })).toBe('again');
    expect(service.begin!(arrive(head)).origin.host).toBe('s3.eu-central-1.amazonaws.com');
    expect(first.review!(moved, Buffer.alloc(0), { origin: first.origin, now: NOW })).toBe('pass');
  });
});

describe('a signed URL of the made-up key', () => {
  const scope = scopeOf('s3');
  const signer = SigningKey.derive(Buffer.from(WELL_KNOWN_KEY.secretAccessKey), scope);
  const target = presignTarget(get('/photos/k?versionId=1'), {
    signer,
    accessKeyId: WELL_KNOWN_KEY.accessKeyId,
    sessionToken: 'made-up-token',
    time: NOW,
    expiresSeconds: 60,
    payloadHash: UNSIGNED_PAYLOAD,
  });

  test('becomes a request signed by header', async () => {
    const begun = begin(get(target));
    const { head } = await send(begun);
    expect(head.target).toBe('/photos/k?versionId=1');
    expect(headerValues(head.headers, 'x-amz-content-sha256')).toEqual([UNSIGNED_PAYLOAD]);
    verifiedUpstream(head, begun.origin);
  });

  test('lasts as long as it says', () => {
    const at = (seconds: number) =>
      codeOf(() => begin(get(target), {}, { now: new Date(NOW.getTime() + seconds * 1000) }));
    expect(at(59)).toBe('none');
    expect(at(61)).toBe('request-expired');
    expect(at(-899)).toBe('none');
    expect(at(-901)).toBe('request-expired');
  });
});

describe('a request for several regions', () => {
  test('is signed with the key pair of the real secret', async () => {
    const host = 'mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com';
    const scope = { date: '20260102', service: 's3' };
    const signer = EcdsaKey.derive(Buffer.from(WELL_KNOWN_KEY.secretAccessKey), WELL_KNOWN_KEY.accessKeyId).bind(scope);
    const signed = signHead(get('/k', { Host: host }), {
      signer,
      accessKeyId: WELL_KNOWN_KEY.accessKeyId,
      time: NOW,
      payloadHash: EMPTY,
      regionSet: '*',
    });
    const origin = { scheme: 'https', host, port: 443 } as const;
    const begun = begin(signed.head, {}, { origin });
    const { head } = await send(begun);
    const authentication = readAuthentication(head) as V4Authentication;
    expect(authentication).toMatchObject({ algorithm: 'AWS4-ECDSA-P256-SHA256', scope });
    const key = EcdsaKey.derive(Buffer.from(REAL.secretAccessKey), REAL.accessKeyId);
    const sent = { ...head, headers: [...head.headers, 'Host', host] };
    expect(verifyInbound(sent, authentication, key).verified).toBe(true);
    expect(headerValues(head.headers, 'x-amz-region-set')).toEqual(['*']);
  });
});

describe('an operation whose answer is a credential', () => {
  const form = (body: string) => {
    const sha256 = createHash('sha256').update(body).digest('hex');
    const head = requestHead('POST', '/', {
      Host: LOCAL,
      'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8',
      'Content-Length': String(body.length),
    });
    const begun = begin(agentSigns(head, { scope: scopeOf('sts'), payloadHash: sha256, sendsPayloadHash: false }));
    expect(begun.body!(begun.head)).toMatchObject({ first: true });
    return begun.facts!(begun.head, Buffer.from(body));
  };

  test('is known by the form that names it', () => {
    expect(form('Action=AssumeRole&RoleArn=x')).toMatchObject({
      aws: { action: 'AssumeRole' },
      returnsCredentials: true,
    });
    expect(form('Action=GetCallerIdentity&Version=2011-06-15')).toMatchObject({
      aws: { action: 'GetCallerIdentity' },
      returnsCredentials: false,
    });
    expect(form('Action=GetCallerIdentity&%41ction=AssumeRole')).toMatchObject({ returnsCredentials: true });
  });
});

test('the configuration of two agents with one key is refused, and so is a disk smaller than the memory', () => {
  const agent = { accessKeyId: 'SECRETLESSREVIEWER', secretAccessKey: randomBytes(16).toString('hex') };
  const problems = aws.check!({ agents: { a: agent, b: agent }, bodyMemory: '2MiB', bodyDisk: '1MiB' }, [
    'sessionToken',
    'accessToken',
  ]);
  expect(problems.map(({ path }) => path)).toEqual([[], ['agents', 'b', 'accessKeyId'], ['bodyDisk']]);
});

test('who cannot be placed is told which variable to set, in the dialect of the service', () => {
  const service = aws.open({});
  const head = agentSigns(requestHead('POST', '/unknown-path', { Host: LOCAL }), { scope: scopeOf('ses') });
  try {
    service.begin!(arrive(head));
    expect.unreachable();
  } catch (thrown) {
    const answer = service.refuse!(thrown as SidecarError, head, 'c0ffee');
    expect(answer.status).toBe(400);
    expect(Buffer.from(answer.body).toString()).toContain(
      'AWS_ENDPOINT_URL_MAILMANAGER=http://127.0.0.1:PORT/_aws/mail-manager',
    );
    expect(headerValues(answer.headers, 'x-secretless-error')).toEqual(['upstream-unclear']);
  }
});
