import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WELL_KNOWN_KEY } from '../connectors/aws/config.ts';
import { aws } from '../connectors/aws/index.ts';
import { askRaw, type RawAnswer } from './aws/ask.ts';
import { DUMMY, type Door } from './aws/door.ts';
import type { Recorded } from './aws/exchange.ts';
import { type RawRequest, signRaw } from './aws/raw-client.ts';
import { useSidecar } from './aws/sidecar.ts';
import { startVerifyingServer, type VerifyingServer } from './aws/verifying-server.ts';
import { expectNoDummies, REGION } from './aws/world.ts';
import { canary } from './canary.ts';

/** An agent that knows the source: whatever it sends, policy judges what the upstream gets. */

const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+='), sessionToken: canary('/+=') };
const OTHER = { accessKeyId: 'ANOTHERAGENTSKEY', secretAccessKey: 'of-the-other-agent-alone' };
const FORM = ['content-type', 'application/x-www-form-urlencoded'] as const;
const WANTED = 'Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/x&RoleSessionName=me';
const RULES = `
rules:
  - { id: no-secrets, effect: deny, services: [store, below], aws: { buckets: [secret] } }
  - { id: no-kept-keys, effect: deny, services: [keys], aws: { keys: ['kept/*', '* *'] } }
  - { id: copies-only, effect: allow, services: [copies], aws: { actions: [CopyObject] } }
  - { id: two-a-minute, effect: allow, services: [rated], rate: { perMinute: 2 } }
  - { id: the-rest, effect: allow, services: [store, keys, below, sessions, sts, plain] }
`;

let server: VerifyingServer | undefined;
beforeAll(async () => {
  const buckets = ['open', 'secret', 'gate', 'gate-of-another'];
  server = await startVerifyingServer({ accounts: [real], region: REGION, buckets });
});
afterAll(() => server?.close());

const sidecar = useSidecar(() => {
  const service = (name: string, more: object = {}, path = '') => ({
    target: `${server!.url}${path}`,
    credentials: real,
    config: { service: name, region: REGION, agents: { local: DUMMY, other: OTHER }, ...more },
  });
  return {
    store: service('s3'),
    below: service('s3', {}, '/gate'),
    keys: service('s3'),
    copies: service('s3'),
    sessions: service('s3'),
    sts: service('sts'),
    plain: service('sts', { chunked: 'unsigned', trailers: 'strip' }),
    rated: service('dynamodb'),
  };
}, RULES);

function door(service: string, credentials: Door['credentials'] = DUMMY): Door {
  const url = sidecar().url(service);
  return {
    endpoints: { s3: url, dynamodb: url, sqs: url, sts: url },
    region: REGION,
    credentials,
    bucket: 'open',
    trailers: true,
  };
}

interface Attack extends RawRequest {
  /** Sent in place of the target that is signed. */
  readonly sent?: string;
}

/** The answer, and what came of it upstream. */
async function attack(service: string, request: Attack): Promise<{ answer: RawAnswer; seen: readonly Recorded[] }> {
  const before = server!.requests.length;
  const { lines } = signRaw(door(service), request);
  const { method, target, sent = target, body = '', loose = [] } = request;
  const length = ['content-length', String(body.length)];
  const answer = await askRaw(sidecar().port(service), method, sent, [...lines, ...loose, ...length], body);
  const seen = server!.requests.slice(before);
  expectNoDummies(seen);
  for (const token of [real.secretAccessKey, real.sessionToken]) expect(JSON.stringify(answer)).not.toContain(token);
  return { answer, seen };
}

async function refused(service: string, request: Attack, code: string): Promise<void> {
  const { answer, seen } = await attack(service, request);
  expect(seen.map(({ head }) => `${head.method} ${head.path}`)).toEqual([]);
  expect(answer.headers['x-secretless-error']).toBe(code);
}

describe('the bucket that policy sees is the one that is read', () => {
  test('the deny rule holds for the plain spelling, so that the others mean something', async () => {
    await refused('store', { method: 'GET', target: '/secret/x' }, 'policy-denied');
    const { seen } = await attack('store', { method: 'GET', target: '/open/x' });
    expect(seen.map(({ head }) => head.path)).toEqual(['/open/x']);
  });

  test.each([
    ['an encoded slash behind it', '/secret/x', '/secret%2Fx'],
    ['an encoded slash before it', '//secret/x', '/%2Fsecret/x'],
    ['encoded letters', '/secret/x', '/%73ecret/x'],
    ['a doubled slash', '//secret/x', '//secret/x'],
  ])('%s changes nothing', async (_, target, sent) => {
    await refused('store', { method: 'GET', target, sent }, 'policy-denied');
  });

  test.each([
    ['an encoded slash in its name', 'secret%2Fx/y'],
    ['an encoded slash before it', '%2Fsecret/x'],
    ['a slash and an encoded name', '/secret%2Fx'],
    ['no key', 'secret'],
    ['an ARN', 'arn:aws:s3:eu-central-1:123456789012:accesspoint/ap/object/x'],
  ])('a copy from it is denied that is spelled with %s', async (_, source) => {
    const headers = [['x-amz-copy-source', source]] as const;
    await refused('store', { method: 'PUT', target: '/open/y', headers }, 'policy-denied');
  });

  test.each([
    ['a plus that some stores read as a blank', 'open/a+b'],
    ['a blank', 'open/a%20b'],
    ['its name', 'open/kept/a'],
  ])('a copy of a key with %s is denied', async (_, source) => {
    const headers = [['x-amz-copy-source', source]] as const;
    await refused('keys', { method: 'PUT', target: '/open/y', headers }, 'policy-denied');
  });

  test('an object that is renamed tells where from no better than a copy that cannot be read', async () => {
    const headers = [['x-amz-rename-source', 'kept/a']] as const;
    await refused('keys', { method: 'PUT', target: '/open/y?renameObject', headers }, 'policy-denied');
  });

  test('behind a target with a path, it is the segment behind that path', async () => {
    await refused('below', { method: 'GET', target: '/secret/x' }, 'policy-denied');
    const { seen } = await attack('below', { method: 'GET', target: '/open/x' });
    expect(seen.map(({ head }) => head.path)).toEqual(['/gate/open/x']);
  });

  test.each(['/../gate-of-another/x', '/%2e%2e/gate-of-another/x', '/open/../../gate-of-another/x'])(
    'no path climbs out of that of the target: %s',
    async (target) => {
      await refused('below', { method: 'GET', target }, 'path-ambiguous');
    },
  );
});

describe('the action that policy sees is the one that is done', () => {
  test('what Connection names is not there for policy either', async () => {
    const request = { method: 'PUT', target: '/open/written', body: 'not a copy' };
    const loose = ['connection', 'x-amz-copy-source', 'x-amz-copy-source', 'open/x'];
    await refused('copies', { ...request, loose }, 'policy-denied');
    const headers = [['x-amz-copy-source', 'open/x']] as const;
    await refused('copies', { ...request, headers, loose: ['connection', 'x-amz-copy-source'] }, 'caller-unproven');
  });

  test.each(['x_amz_copy_source', 'X-Amz_Copy-Source'])(
    'a field that some stores read as one of AWS is refused: %s',
    async (name) => {
      const headers = [[name.toLowerCase(), 'secret/x']] as const;
      await refused('store', { method: 'PUT', target: '/open/y', headers }, 'signature-malformed');
    },
  );

  test.each(['x-amz-copy-source', 'X-Amz-Copy-Source', 'x-amz-rename-source'])(
    'a parameter that some stores read as the field is refused: %s',
    async (name) => {
      await refused('store', { method: 'PUT', target: `/open/y?${name}=secret%2Fx` }, 'signature-malformed');
    },
  );

  test.each(['PUT', 'DELETE', 'GET', 'HEAD', 'POST'])('%s of a key is none of a bucket', async (method) => {
    const before = server!.requests.length;
    await attack('store', { method, target: '/open/k', sent: '/open%2Fk' });
    expect(server!.requests.slice(before).map(({ head }) => head.path)).toEqual(['/open/k']);
    expect(server!.store.bucket('open')).toBeDefined();
    const used = sidecar()
      .events()
      .findLast(({ type }) => type === 'decision');
    expect(used).toMatchObject({ path: '/open/k' });
  });
});

describe('no answer holds a credential', () => {
  test.each([
    ['a form', 'sts', [FORM], WANTED, '/'],
    ['a form of another letter case', 'sts', [['content-type', 'Application/X-WWW-Form-URLEncoded']], WANTED, '/'],
    ['an escaped name', 'sts', [FORM], WANTED.replace('Action', '%41ction'), '/'],
    ['two actions', 'sts', [FORM], `Action=GetCallerIdentity&${WANTED}`, '/'],
    ['an action in the query and another in the form', 'sts', [FORM], 'Action=GetCallerIdentity', `/?${WANTED}`],
    ['a query', 'sts', [], '', `/?${WANTED}`],
    ['JSON', 'sts', [['x-amz-target', 'Sts.AssumeRole']], '{}', '/'],
    ['a harmless target and a form', 'sts', [FORM, ['x-amz-target', 'Sts.GetCallerIdentity']], WANTED, '/'],
    ['text', 'sts', [['content-type', 'text/plain']], WANTED, '/'],
    ['a charset', 'sts', [['content-type', `${FORM[1]}; charset=utf-16`]], WANTED, '/'],
    ['a multipart form', 'sts', [['content-type', 'multipart/form-data; boundary=x']], WANTED, '/'],
    ['a compressed form', 'sts', [FORM, ['content-encoding', 'gzip']], WANTED, '/'],
    ['another path', 'sts', [FORM], WANTED, '/x'],
    ['more slashes', 'sts', [FORM], WANTED, '///'],
    ['a form to a store that gives sessions too', 'sessions', [FORM], WANTED, '/'],
    ['text to such a store', 'sessions', [], WANTED, '/'],
    ['more slashes to such a store', 'sessions', [FORM], WANTED, '//'],
    ['an action in the query of such a store', 'sessions', [FORM], 'x=y', `/?${WANTED}`],
    ['a session of a bucket', 'sessions', [], '', '/open?session'],
  ] as const)('asked for by %s', async (_, service, headers, body, target) => {
    await refused(service, { method: body === '' ? 'GET' : 'POST', target, headers, body }, 'policy-denied');
  });

  test.each([
    ['signed by nobody we know', 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'sts'],
    ['signed', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'plain'],
    ['with a trailer', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'sts'],
  ])('asked for by a form in chunks %s, whose framing names a harmless one', async (_, payload, service) => {
    const signature = '0'.repeat(144);
    const cut = [WANTED.slice(0, 3), WANTED.slice(3)];
    const extension = `;chunk-signature=${signature}`;
    const framed = cut.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`).join('');
    const body = `${framed}0${extension}\r\n&Action=GetCallerIdentity&\r\n\r\n`;
    const length = ['x-amz-decoded-content-length', String(WANTED.length)] as const;
    const headers = [FORM, length, ['x-amz-trailer', 'x-amz-checksum-crc32']] as const;
    await refused(service, { method: 'POST', target: '/', payload, headers, body }, 'policy-denied');
  });
});

describe('a store that is not of AWS, whose signing name the agent chooses', () => {
  const origin = { scheme: 'https', host: 'store.example', port: 443 } as const;
  const facts = (service: string, body: string | undefined, target = '/') => {
    const credential = `AKIASOMEBODY/20260101/${REGION}/${service}/aws4_request`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=host,Signature=${'0'.repeat(64)}`;
    const length = body === undefined ? [] : ['content-length', String(body.length)];
    const headers = ['host', 'x', 'x-amz-date', '20260101T000000Z', ...FORM, ...length, 'authorization', authorization];
    const head = { method: body === undefined ? 'GET' : 'POST', target, headers };
    const arrival = { head, origin, bound: true, basePath: '', now: new Date() };
    const begun = aws.open({ foreign: 'sign' }).begin!(arrival);
    return begun.facts!(head, body === undefined ? undefined : Buffer.from(body));
  };

  test.each([
    ['lambda', WANTED, '/'],
    ['sqs', WANTED, '/'],
    ['sns', 'Action=CreateAccessKey', '/'],
    ['s3', WANTED, '/'],
    ['lambda', undefined, `/?${WANTED}`],
    ['nobody-knows', WANTED, '/'],
  ])('gives no session to who asks as %s', (service, body, target) => {
    expect(facts(service, body, target)).toMatchObject({ returnsCredentials: true });
  });

  test.each([
    ['sqs', 'Action=SendMessage&MessageBody=x', '/'],
    ['lambda', '{}', '/2015-03-31/functions/f/invocations'],
    ['s3', '<Delete/>', '/open?delete'],
    ['s3', undefined, '/'],
  ])('takes what else it is asked as %s', (service, body, target) => {
    expect(facts(service, body, target)).toMatchObject({ returnsCredentials: false });
  });
});

describe('one agent is not another', () => {
  /** Signed by nobody: only the hash of the body would have told. */
  async function claim(key: string, method = 'POST', more: readonly string[] = []): Promise<RawAnswer> {
    const { lines } = signRaw(door('rated', { ...DUMMY, accessKeyId: key }), { method, target: '/' });
    const kept = lines.filter((_, at) => lines[at - (at % 2)] !== 'x-amz-content-sha256');
    const at = kept.indexOf('authorization') + 1;
    const headers = kept.with(at, kept[at]!.replace('x-amz-content-sha256;', ''));
    const target = ['x-amz-target', 'DynamoDB_20120810.ListTables', 'content-type', 'application/x-amz-json-1.0'];
    const sent = [...headers, ...target, ...more, 'content-length', '2'];
    return askRaw(sidecar().port('rated'), method, '/', sent, '{}');
  }

  test('a request that is not proven uses up no rate of the agent it claims, and is none of its on record', async () => {
    for (let count = 0; count < 4; count += 1) {
      const answer = await claim(OTHER.accessKeyId);
      expect(answer.headers['x-secretless-error']).toBe('caller-unproven');
    }
    const last = sidecar()
      .events()
      .findLast(({ service }) => service === 'rated');
    expect(last).toMatchObject({ result: 'deny', reason: expect.stringContaining('caller-unproven') as string });
    expect(JSON.stringify(last)).not.toContain('"other"');
  });

  test('nor does an upgrade', async () => {
    for (let count = 0; count < 4; count += 1) {
      const answer = await claim(OTHER.accessKeyId, 'GET', ['connection', 'upgrade', 'upgrade', 'websocket']);
      expect(answer).toMatchObject({ status: 403, body: expect.stringContaining('caller-unproven') as string });
    }
  });
});

describe('what a service learns of one place', () => {
  test('is not taken for another: buckets of one name in two partitions', () => {
    const service = aws.open({});
    const begin = (region: string) => {
      const { lines: headers } = signRaw(
        { ...door('store', WELL_KNOWN_KEY), region },
        { method: 'GET', target: '/photos/x' },
      );
      const head = { method: 'GET', target: '/photos/x', headers };
      return service.begin!({ head, bound: false, basePath: '', now: new Date() });
    };
    const begun = begin('eu-west-1');
    const moved = { status: 301, reason: '', headers: ['x-amz-bucket-region', 'eu-north-1'] };
    expect(begun.review!(moved, Buffer.alloc(0), { origin: begun.origin, now: new Date() })).toBe('again');
    expect(begin('eu-west-1').origin.host).toBe('s3.eu-north-1.amazonaws.com');
    expect(begin('cn-north-1').origin.host).toBe('s3.cn-north-1.amazonaws.com.cn');
  });
});
