import { createHash } from 'node:crypto';
import { headerValues } from 'secretless-sidecar/connector';
import { requestHead } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { Callers } from './callers.ts';
import { WELL_KNOWN_KEY } from './config.ts';
import { aws } from './index.ts';
import { UNSIGNED_PAYLOAD } from './sign/canonical.ts';
import { SigningKey } from './sign/key.ts';
import { presignTarget } from './testdata/presign.ts';
import { EcdsaKey } from './sign/sigv4a.ts';
import {
  agentSigns,
  agentSigns4a,
  begin,
  codeOf,
  EMPTY,
  get,
  LOCAL,
  NOW,
  presignV2,
  scopeOf,
  send,
  verified,
} from './testdata/agent.ts';

const STRANGER = { accessKeyId: 'SECRETLESSSIDECAR', secretAccessKey: 'not-the-one-of-this-key-id' };
const MRAP = { scheme: 'https', host: 'mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com', port: 443 } as const;

describe('a signature that cannot be read', () => {
  test.each(['/photos/%zz', '/photos/k?a=%z'])('in %s is told so', (target) => {
    const signed = agentSigns(get('/photos/k'));
    expect(codeOf(() => begin({ ...signed, target }))).toBe('signature-malformed');
  });
});

describe('a request without an announced hash', () => {
  const asked = get('/?Action=GetCallerIdentity&Version=2011-06-15');
  const options = { scope: scopeOf('sts'), sendsPayloadHash: false };

  test('and without a body is proven at once', () => {
    expect(codeOf(() => begin(agentSigns(asked, { ...options, key: STRANGER })))).toBe('caller-unproven');
    const begun = begin(agentSigns(asked, options));
    expect(['prove' in begun, begun.body!(begun.head)]).toEqual([false, 'stream']);
  });

  test('that names its operation in the body is read before policy, in memory of its own', () => {
    const headers = { Host: LOCAL, 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': '20' };
    const begun = begin(agentSigns(requestHead('POST', '/', headers), options), { bodyMemory: '64KiB' });
    expect(begun.body!(begun.head)).toEqual({ digest: { memory: 2 ** 20, disk: 0 }, first: true });
  });

  test('to a store is signed over the hash of its body, by which it is proven', async () => {
    const sha256 = createHash('sha256').update('body').digest('hex');
    const head = requestHead('PUT', '/photos/k', { Host: LOCAL, 'Content-Length': '4' });
    const begun = begin(agentSigns(head, { sendsPayloadHash: false, payloadHash: sha256 }));
    expect(begun.body!(begun.head)).toMatchObject({ digest: { memory: 2 ** 20 } });
    expect(codeOf(() => begun.prove!(EMPTY))).toBe('caller-unproven');
    const { head: sent } = await send(begun, undefined, sha256);
    expect(headerValues(sent.headers, 'x-amz-content-sha256')).toEqual([sha256]);
  });

  test('of a key that nobody here knows is hashed for its signature alone', () => {
    const head = requestHead('POST', '/', {
      Host: LOCAL,
      'Content-Length': '2',
      'X-Amz-Target': 'DynamoDB_20120810.GetItem',
    });
    const key = { accessKeyId: 'AKIASOMEBODYELSE1', secretAccessKey: 'unknown' };
    const begun = begin(agentSigns(head, { scope: scopeOf('dynamodb'), sendsPayloadHash: false, key }), {
      foreign: 'sign',
    });
    expect('prove' in begun).toBe(false);
    expect(begun.body!(begun.head)).toMatchObject({ digest: { disk: 256 * 2 ** 20 } });
  });
});

describe('fields that need not be under the signature', () => {
  test.each(['x-amz-content-sha256', 'x-amz-security-token', 'x-amz-user-agent', 'x-amz-date'])('%s is one', (name) => {
    const head = get('/photos/k', name === 'x-amz-user-agent' ? { 'x-amz-user-agent': 'aws-sdk' } : {});
    const signed = agentSigns(head, {
      sessionToken: 'made-up',
      signs: (field) => field === 'host' || (field.startsWith('x-amz-') && field !== name),
    });
    expect(headerValues(signed.headers, name)).toHaveLength(1);
    expect(codeOf(() => begin(signed))).toBe('none');
  });

  test('a field that steers is none', () => {
    const signed = agentSigns(get('/photos/k', { 'x-amz-meta-a': 'b' }), {
      signs: (field) => field !== 'x-amz-meta-a',
    });
    expect(codeOf(() => begin(signed))).toBe('caller-unproven');
  });
});

describe('a signed URL', () => {
  test('of version 2 goes to S3 in the configured region, signed by header, and nothing of it remains', async () => {
    const head = get(presignV2('/photos/k', NOW.getTime() / 1000 + 60));
    const begun = begin(head, { region: 'eu-central-1' });
    expect(begun.origin.host).toBe('s3.eu-central-1.amazonaws.com');
    const { head: sent } = await send(begun);
    expect(sent.target).toBe('/photos/k');
    expect(verified(sent, begun.origin).scope).toEqual(scopeOf('s3', 'eu-central-1'));
    expect(codeOf(() => begin(head))).toBe('upstream-unclear');
  });

  test('of version 2 lasts as long as it says', () => {
    const at = (expires: number) =>
      codeOf(() => begin(get(presignV2('/photos/k', expires)), { region: 'eu-central-1' }));
    const seconds = Math.floor(NOW.getTime() / 1000);
    expect([at(seconds + 1), at(seconds - 1)]).toEqual(['none', 'request-expired']);
  });

  test('of version 2 is that of its key, or refused', () => {
    const target = presignV2('/photos/k', NOW.getTime() / 1000 + 60, STRANGER);
    expect(codeOf(() => begin(get(target), { region: 'eu-central-1' }))).toBe('caller-unproven');
    const other = presignV2('/photos/k', NOW.getTime() / 1000 + 60).replace('/k', '/other');
    expect(codeOf(() => begin(get(other), { region: 'eu-central-1' }))).toBe('caller-unproven');
  });

  test('that says the hash of its body becomes a request that says it in a field', async () => {
    const signer = SigningKey.derive(Buffer.from(WELL_KNOWN_KEY.secretAccessKey), scopeOf('s3'));
    const { accessKeyId } = WELL_KNOWN_KEY;
    const presigning = { signer, accessKeyId, time: NOW, expiresSeconds: 60, payloadHash: EMPTY };
    const target = presignTarget(get(`/photos/k?X-Amz-Content-Sha256=${EMPTY}&x=1`), presigning);
    const begun = begin(get(target));
    const { head } = await send(begun);
    expect(head.target).toBe('/photos/k?x=1');
    expect(headerValues(head.headers, 'x-amz-content-sha256')).toEqual([EMPTY]);
    verified(head, begun.origin);
  });
});

describe('a request that nobody signed and the sidecar is to sign', () => {
  const config = { unsigned: 'sign', service: 's3', region: 'eu-central-1' } as const;

  test('keeps the hash that it announces, once', async () => {
    const head = get('/photos/k', { 'x-amz-content-sha256': UNSIGNED_PAYLOAD });
    const begun = begin(head, config);
    expect(headerValues((await send(begun)).head.headers, 'x-amz-content-sha256')).toEqual([UNSIGNED_PAYLOAD]);
    const twice = { ...head, headers: [...head.headers, 'X-Amz-Content-Sha256', EMPTY] };
    expect(codeOf(() => begin(twice, config))).toBe('signature-malformed');
  });

  test('goes to the service of its prefix, and nowhere without a region', () => {
    expect(begin(get('/_aws/sqs/'), config).origin.host).toBe('sqs.eu-central-1.amazonaws.com');
    expect(codeOf(() => begin(get('/_aws/sqs/'), { unsigned: 'sign', service: 's3' }))).toBe('upstream-unclear');
  });
});

describe('a request for a set of regions', () => {
  const to = { origin: MRAP };
  const asked = get('/k', { Host: MRAP.host });
  const signed = (regionSet: string) => agentSigns4a(asked, 's3', { regionSet });

  test('is signed for the same set', async () => {
    for (const set of ['*', 'eu-*', 'eu-west-1,us-east-1']) {
      const begun = begin(signed(set), { region: 'eu-central-1' }, to);
      const { head } = await send(begun);
      expect(headerValues(head.headers, 'x-amz-region-set')).toEqual([set]);
      expect(verified(head, MRAP).algorithm).toBe('AWS4-ECDSA-P256-SHA256');
    }
  });

  test('whose set is none, or is there twice, is malformed', () => {
    for (const set of ['eu west', '', 'EU-*', 'a'.repeat(33), Array.from({ length: 17 }, () => 'a').join(',')])
      expect(
        codeOf(() => begin(signed(set), {}, to)),
        set,
      ).toBe('signature-malformed');
    const foreign = agentSigns4a(asked, 's3', {
      regionSet: '*',
      key: { accessKeyId: 'AKIASOMEBODYELSE1', secretAccessKey: 'unknown' },
    });
    const twice = { ...foreign, headers: [...foreign.headers, 'x-amz-region-set', '*'] };
    expect(codeOf(() => begin(twice, { foreign: 'sign' }, to))).toBe('signature-malformed');
    const broken = {
      ...foreign,
      target: '/k?a=%zz',
      headers: foreign.headers.filter((_, at, all) => all[at - (at % 2)] !== 'x-amz-region-set'),
    };
    expect(codeOf(() => begin(broken, { foreign: 'sign' }, to))).toBe('signature-malformed');
  });

  test('takes the set of a signed URL from its query', async () => {
    const { accessKeyId, secretAccessKey } = WELL_KNOWN_KEY;
    const signer = EcdsaKey.derive(Buffer.from(secretAccessKey), accessKeyId).bind({ date: '20260102', service: 's3' });
    const presigning = {
      signer,
      accessKeyId,
      time: NOW,
      expiresSeconds: 60,
      payloadHash: UNSIGNED_PAYLOAD,
      regionSet: 'eu-*',
    };
    const begun = begin(get(presignTarget(asked, presigning), { Host: MRAP.host }), {}, to);
    const { head } = await send(begun);
    expect([head.target, headerValues(head.headers, 'x-amz-region-set')]).toEqual(['/k', ['eu-*']]);
  });
});

describe('keys of several agents of one service', () => {
  const agents = {
    one: { accessKeyId: 'SECRETLESSAGENT01', secretAccessKey: 'made-up-for-the-first' },
    two: { accessKeyId: 'SECRETLESSAGENT02', secretAccessKey: 'made-up-for-the-second' },
  };

  test.each([
    ['one region', (key: (typeof agents)['one']) => agentSigns(get('/photos/k'), { key }), {}],
    [
      'a set of them',
      (key: (typeof agents)['one']) => agentSigns4a(get('/k', { Host: MRAP.host }), 's3', { key, regionSet: '*' }),
      { origin: MRAP },
    ],
  ])('are kept apart, for %s', (_, sign, more) => {
    const service = aws.open({ agents });
    const begun = (head: ReturnType<typeof sign>) =>
      service.begin!({ head, basePath: '', bound: false, now: NOW, ...more });
    for (const [agent, key] of [...Object.entries(agents), ...Object.entries(agents)])
      expect(begun(sign(key)).agent).toBe(agent);
    const mixed = { accessKeyId: agents.two.accessKeyId, secretAccessKey: agents.one.secretAccessKey };
    expect(codeOf(() => begun(sign(mixed)))).toBe('caller-unproven');
  });

  test('are overwritten with the end of the service', () => {
    const callers = new Callers(agents);
    const key = callers.key(callers.find('SECRETLESSAGENT01')!, scopeOf('s3'));
    callers.close();
    expect(key.wiped).toBe(true);
  });
});
