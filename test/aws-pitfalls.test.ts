import { describe, expect, test } from 'vitest';
import { sessionName } from '../src/providers/aws-sts/session-name.ts';
import { agentSigns, begin, codeOf, fieldsOf, open, REAL, SIDECAR, verified } from './aws-pitfalls-kit.ts';

/* The pitfalls of signing requests anew that a request alone shows; aws-pitfalls-wire.test.ts has those of the wire. */

const ORIGINS = {
  s3: 's3.eu-west-1.amazonaws.com',
  sts: 'sts.eu-west-1.amazonaws.com',
} as const;

function https(host: string) {
  return { scheme: 'https', host, port: 443 } as const;
}

function http(host: string) {
  return { scheme: 'http', host, port: 80 } as const;
}

test('P3: requests of two path rules that one service signs at the same time do not touch one another', async () => {
  const service = open();
  const asked = Array.from({ length: 60 }, (_, n) =>
    n % 2 === 0
      ? agentSigns({ target: `/photos/a%20b+${n}` })
      : agentSigns({ target: `/_aws/bedrock-runtime/model/a%3A${n}/converse`, service: 'bedrock' }),
  );
  const begun = asked.map((head) => begin(service, head));
  const sent = await Promise.all(begun.map((one) => verified(one)));
  expect(new Set(sent.map(({ claim }) => claim.service))).toEqual(new Set(['s3', 'bedrock']));
  expect(sent.map(({ head }) => head.target).slice(0, 2)).toEqual(['/photos/a%20b%2B0', '/model/a%3A1/converse']);
});

describe('the service of a host is looked up and never guessed', () => {
  test.each([
    ['states.eu-west-1.amazonaws.com', 'states'],
    ['data.iot.eu-west-1.amazonaws.com', 'iotdata'],
    ['iot.eu-west-1.amazonaws.com', 'iot'],
    ['email.eu-west-1.amazonaws.com', 'ses'],
    ['runtime.sagemaker.eu-west-1.amazonaws.com', 'sagemaker'],
    ['api.sagemaker.eu-west-1.amazonaws.com', 'sagemaker'],
    ['monitoring.eu-west-1.amazonaws.com', 'monitoring'],
    ['bedrock-runtime.eu-west-1.amazonaws.com', 'bedrock'],
    ['states.s3.eu-west-1.amazonaws.com', 's3'],
    ['iot.s3-eu-west-1.amazonaws.com', 's3'],
    ['abcdefghij.execute-api.eu-west-1.amazonaws.com', 'execute-api'],
    ['search-s3-abc.eu-west-1.es.amazonaws.com', 'es'],
    ['nothing.eu-west-1.amazonaws.com', undefined],
  ])('P4: %s is %s', (host, service) => {
    const asked = { method: 'GET', target: '/x', headers: ['host', host] };
    const run = () => begin(open({ unsigned: 'sign' }), asked, { origin: https(host) });
    if (service === undefined) expect(codeOf(run)).toBe('no-service');
    else expect(run().facts!(asked).aws?.service).toBe(service);
  });

  test('P4: a signing name with several endpoints is refused with the variable to set', () => {
    const head = agentSigns({ method: 'POST', target: '/unknown-path', service: 'ses' });
    expect(() => begin(open(), head)).toThrow('AWS_ENDPOINT_URL_');
  });
});

test('P5: S3 encodes a path once and keeps it, every other service encodes what was sent and normalises', async () => {
  const service = open();
  for (const target of ['/photos/a%20b', '/photos/a%2520b', '/photos/x//y', '/photos/./z', "/photos/(1)*'!~"])
    await verified(begin(service, agentSigns({ target })));
  for (const target of ['/2015-03-31/functions/a%3Ab%2520c/invocations', '/a//b/./c/../d', '/x%2Fy'])
    await verified(begin(service, agentSigns({ target, service: 'lambda' })));
});

test('P8: the clock of the agent is neither trusted nor used', async () => {
  for (const time of [new Date('2025-01-01T00:00:00Z'), new Date('2027-01-01T00:00:00Z')]) {
    const head = agentSigns({ target: '/photos/k', time, headers: [['date', time.toUTCString()]] });
    const { claim, head: sent } = await verified(begin(open(), head));
    expect([claim.timestamp, claim.day]).toEqual(['20260102T030405Z', '20260102']);
    expect([...fieldsOf(sent, 'date'), ...fieldsOf(sent, 'x-amz-date')]).toEqual(['20260102T030405Z']);
  }
});

test.each([
  ['accessKeyId', 'key/with'],
  ['accessKeyId', 'a\r\nx-injected: 1'],
  ['secretAccessKey', ''],
  ['secretAccessKey', 'two lines\nof it'],
  ['sessionToken', 'a\r\nx-injected: 1'],
  ['sessionToken', ''],
])('P10: what cannot be signed is not sent: %s of %j', async (name, value) => {
  const begun = begin(open(), agentSigns({ target: '/photos/k' }));
  await expect(verified(begun, { ...REAL, [name]: value })).rejects.toMatchObject({ code: 'credential-unfit' });
});

describe('signed URLs of others', () => {
  const signature = 'ab'.repeat(32);
  const query = `X-Amz-Signature=${signature}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAOTHER%2f20260102%2feu-west-1%2fs3%2faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&z=%c3%a9+`;
  const head = { method: 'GET', target: `/k?${query}`, headers: ['Host', ORIGINS.s3, 'X-Odd', 'a', 'x-odd', 'b'] };
  const origin = https(ORIGINS.s3);

  test('P11: are refused unless the configuration lets them pass', () => {
    expect(codeOf(() => begin(open(), head, { origin }))).toBe('foreign-credential');
  });

  test('P11: pass byte for byte where it does, without a credential', () => {
    const begun = begin(open({ foreign: 'pass' }), head, { origin });
    expect([begun.head, begun.origin, begun.credentialed]).toEqual([head, origin, false]);
    expect(() => begun.authenticate(head, undefined as never, undefined as never)).toThrow();
  });

  test('P11: never pass to a host that only the request names', () => {
    const evil = { ...head, headers: ['Host', 'evil.example'] };
    expect(codeOf(() => begin(open({ foreign: 'pass' }), evil, { origin: https('evil.example') }))).toBe('no-service');
  });
});

describe('the host that is signed is the host that is connected to', () => {
  test('P12: a Host of the agent is never signed, whatever it signed itself', async () => {
    for (const host of ['sts.amazonaws.com', 'evil.example', SIDECAR]) {
      const begun = begin(open(), agentSigns({ target: '/photos/k', host }));
      expect(begun.origin).toEqual(https(ORIGINS.s3));
      expect(fieldsOf((await verified(begun)).head, 'host')).toEqual([]);
    }
  });

  test('P12: a host of AWS is reached over https only', () => {
    const head = agentSigns({ target: '/photos/k', host: ORIGINS.s3 });
    expect(begin(open(), head, { origin: http(ORIGINS.s3) }).origin).toEqual(https(ORIGINS.s3));
    const odd = { scheme: 'http', host: ORIGINS.s3, port: 8080 } as const;
    expect(begin(open(), head, { origin: odd }).origin).toEqual({ ...odd, scheme: 'https' });
  });

  test('P12: a host takes the scope of its own service alone', () => {
    const head = agentSigns({ target: '/', host: ORIGINS.sts, service: 's3' });
    expect(codeOf(() => begin(open(), head, { origin: https(ORIGINS.sts) }))).toBe('upstream-unclear');
  });

  test('P12: a host that is none of AWS gets no signature, also where only its end looks like one', () => {
    for (const host of [
      's3.amazonaws.com.evil.example',
      'evilamazonaws.com',
      'amazonaws.com',
      's3.eu-west-1.amazonaws.co',
    ]) {
      const head = agentSigns({ target: '/photos/k', host });
      for (const more of [{}, { unsigned: 'sign', foreign: 'sign', service: 's3', region: 'eu-west-1' }] as const)
        expect(
          codeOf(() => begin(open(more), head, { origin: https(host) })),
          host,
        ).not.toBe('none');
    }
  });
});

describe('words of a scope become part of a host only where they are names', () => {
  test.each([
    'evil.com#',
    'eu-west-1.evil.example',
    'x.evil.example%2f',
    '..',
    '-eu-west-1',
    'EU-WEST-1',
    'eu west 1',
    'e'.repeat(33),
    'eu-west-1@evil.example',
  ])('P13: region %j is malformed, though its signature holds', (region) => {
    expect(codeOf(() => begin(open(), agentSigns({ target: '/photos/k', region })))).toBe('signature-malformed');
  });

  test.each(['mars-1', 'eu-west', 'aws', 'localhost', 'us-east-1-evil'])('P13: region %j is none of AWS', (region) => {
    expect(codeOf(() => begin(open(), agentSigns({ target: '/photos/k', region })))).toBe('upstream-unclear');
  });

  test.each([
    ['s3.evil.example', 'signature-malformed'],
    ['evil.example#', 'signature-malformed'],
    ['', 'signature-malformed'],
    ['evil', 'upstream-unclear'],
    ['S3', 'upstream-unclear'],
    ['__proto__', 'signature-malformed'],
    ['constructor', 'upstream-unclear'],
  ])('P13: service %j is refused', (service, code) => {
    expect(codeOf(() => begin(open(), agentSigns({ target: '/photos/k', service })))).toBe(code);
  });

  test.each(['evil.example%23', 'x@evil.example', '..', 's3.evil', 'bedrock-runtime:1'])(
    'P13: the word %j after /_aws/ names no endpoint',
    (prefix) => {
      const head = agentSigns({ target: `/_aws/${prefix}/k`, service: 'bedrock' });
      expect(codeOf(() => begin(open(), head))).toBe('upstream-unclear');
    },
  );
});

describe('the session token', () => {
  const head = agentSigns({ target: '/photos/k', headers: [['x-amz-security-token', 'made-up']] });

  test('P14: is that of the real key, and under the signature', async () => {
    const { head: sent, claim } = await verified(begin(open(), head));
    expect(fieldsOf(sent, 'x-amz-security-token')).toEqual([REAL.sessionToken]);
    expect(claim.signedHeaders).toContain('x-amz-security-token');
  });

  test('P14: of the agent goes where the real key has none, also in another case and as that of S3 Express', async () => {
    const { accessKeyId, secretAccessKey } = REAL;
    const spelt = agentSigns({
      target: '/photos/k',
      headers: [
        ['X-AMZ-Security-Token', 'made-up'],
        ['x-amz-s3session-token', 'made-up'],
      ],
    });
    const { head: sent } = await verified(begin(open(), spelt), { accessKeyId, secretAccessKey });
    expect(sent.headers.join('\n')).not.toContain('made-up');
    expect(sent.headers.join('\n').toLowerCase()).not.toMatch(/token/);
    // Some servers read it as the field with hyphens.
    const folded = { ...spelt, headers: [...spelt.headers, 'X_Amz_Security_Token', 'made-up'] };
    expect(codeOf(() => begin(open(), folded))).toBe('signature-malformed');
  });
});

describe('the name of a session', () => {
  test.each([['x'.repeat(65)], ['a'], [''], ['reviewer of pull requests'], ['é'.repeat(64)], ['y'.repeat(5000)]])(
    'P20: %j becomes one that STS takes, always the same',
    (agent) => {
      expect(sessionName(agent)).toMatch(/^[\w+=,.@-]{2,64}$/);
      expect(sessionName(agent)).toBe(sessionName(agent));
    },
  );

  test('P20: two agents whose long names begin alike do not share one', () => {
    const long = 'z'.repeat(80);
    expect(sessionName(`${long}1`)).not.toBe(sessionName(`${long}2`));
  });
});

describe('answers that hold a credential are known', () => {
  test.each([
    ['GET', '/photos?session', 's3', undefined],
    ['POST', '/', 'ecr', 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken'],
    ['POST', '/', 'cognito-identity', 'AWSCognitoIdentityService.GetCredentialsForIdentity'],
    ['POST', '/', 'ecr', 'AmazonEC2ContainerRegistry_V20150921.ListImages'],
    ['GET', '/federation/credentials?role_name=a&account_id=1', 'awsssoportal', undefined],
    ['POST', '/v1/authorization-token?domain=d', 'codeartifact', undefined],
  ])('P21: %s %s of %s', (method, target, service, operation) => {
    const headers = operation === undefined ? [] : [['x-amz-target', operation] as const];
    const run = (): boolean | undefined => {
      const begun = begin(open(), agentSigns({ method, target, service, headers }));
      return begun.facts!(begun.head).returnsCredentials;
    };
    expect(run()).toBe(operation?.endsWith('.ListImages') !== true);
  });

  test('P21: an identity proof is a signature of the agent’s own key, which opens nothing elsewhere', async () => {
    const target = '/?Action=GetCallerIdentity&Version=2011-06-15';
    const begun = begin(open(), agentSigns({ target, service: 'sts' }));
    const { head } = await verified(begun);
    // The real signature stands in a header of the request alone: no URL that the agent could hand on.
    expect(head.target).toBe(target);
    expect(begun.facts!(begun.head)).toMatchObject({ aws: { action: 'GetCallerIdentity' }, returnsCredentials: false });
  });
});

describe('what a field asks for is the agent’s own word', () => {
  const steering = [
    'x-amz-acl',
    'x-amz-website-redirect-location',
    'x-amz-bypass-governance-retention',
    'x-amz-grant-read',
  ];

  test.each(steering)('P26: %s that the agent did not sign is refused, never signed in its name', (name) => {
    const head = agentSigns({ method: 'PUT', target: '/photos/k' });
    const added = { ...head, headers: [...head.headers, name, 'public-read'] };
    expect(codeOf(() => begin(open(), added))).toBe('caller-unproven');
  });

  test('P26: what is copied from is told to policy', () => {
    const headers = [['x-amz-copy-source', '/payroll/2026.csv']] as const;
    const begun = begin(open(), agentSigns({ method: 'PUT', target: '/photos/k', headers }));
    expect(begun.facts!(begun.head).aws).toMatchObject({ source: { bucket: 'payroll', key: '2026.csv' } });
  });
});
