import { readFileSync } from 'node:fs';
import type { RequestHead } from 'secretless-sidecar/connector';
import { SidecarError } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { fromScope, splitPrefix } from './from-scope.ts';

function head(target = '/', headers: readonly string[] = [], method = 'POST'): RequestHead {
  return { method, target, headers };
}

function hostOf(service: string, region: string, request = head(), prefix?: string): string {
  return fromScope({ service, region }, request, prefix).origin.host;
}

function refusal(service: string, region: string | undefined, request = head(), prefix?: string): string {
  try {
    fromScope({ service, region }, request, prefix);
  } catch (thrown) {
    if (thrown instanceof SidecarError && thrown.code === 'upstream-unclear') return thrown.detail ?? '';
    throw thrown;
  }
  throw new Error(`${service} in ${region ?? 'no region'} was placed`);
}

test('every endpoint is where the rule sets of the SDKs say, and is signed for the region that they sign for', () => {
  const lines = readFileSync(new URL('testdata/endpoint-rules.txt', import.meta.url), 'utf8').split('\n');
  const wrong: string[] = [];
  let checked = 0;
  for (const line of lines) {
    if (line === '' || line.startsWith('#')) continue;
    const [service, prefix, region, host, signed] = line.split(' ') as [string, string, string, string, string];
    const endpoint = fromScope({ service, region }, head('/', ['x-amz-account-id', '123456789012']), prefix);
    checked += 1;
    if (endpoint.origin.host !== host || endpoint.region !== signed) wrong.push(`${line}: ${endpoint.origin.host}`);
  }
  expect(wrong).toEqual([]);
  expect(checked).toBeGreaterThan(700);
});

describe('a scope that comes from the agent', () => {
  test.each([
    'evil.com#',
    'evil.com/',
    'us-east-1.evil.com',
    'us-east-1@evil.com',
    'US-EAST-1',
    'us-east-1\n',
    'us-east-',
    'auto',
    'aws-global',
    'xx-east-1',
    '',
    `us-${'a'.repeat(40)}-1`,
    '127.0.0.1',
    '../..',
  ])('P13: with the region %j makes no host', (region) => {
    expect(refusal('s3', region)).toContain('region');
  });

  test('P13: with a service that is not known makes no host', () => {
    for (const service of ['evil', 'evil.com', 's3.evil', 'S3', 'constructor', '__proto__'])
      expect(refusal(service, 'us-east-1')).toContain('unknown');
  });

  test('P13: cannot name a path prefix of another service', () => {
    expect(refusal('dynamodb', 'us-east-1', head(), 'sts')).toContain('signed as sts');
    expect(refusal('s3', 'us-east-1', head(), 'evil.com')).toContain('no endpoint');
    expect(refusal('s3', 'us-east-1', head(), 'evil.execute-api')).toContain('no endpoint');
  });

  test('without a region needs the host', () => {
    expect(refusal('s3', undefined)).toContain('set of regions');
  });
});

describe('a signing name with several endpoints', () => {
  test('takes the one that the path prefix names', () => {
    expect(hostOf('bedrock', 'eu-west-1', head(), 'bedrock-agent')).toBe('bedrock-agent.eu-west-1.amazonaws.com');
    expect(hostOf('ses', 'eu-west-1', head(), 'email')).toBe('email.eu-west-1.amazonaws.com');
    expect(hostOf('sagemaker', 'eu-west-1', head(), 'runtime.sagemaker')).toBe(
      'runtime.sagemaker.eu-west-1.amazonaws.com',
    );
  });

  test('takes the one that X-Amz-Target names', () => {
    const streams = head('/', ['X-Amz-Target', 'DynamoDBStreams_20120810.GetRecords']);
    expect(hostOf('dynamodb', 'eu-west-1', streams)).toBe('streams.dynamodb.eu-west-1.amazonaws.com');
    const table = head('/', ['X-Amz-Target', 'DynamoDB_20120810.GetItem']);
    expect(hostOf('dynamodb', 'eu-west-1', table)).toBe('dynamodb.eu-west-1.amazonaws.com');
    const write = head('/', ['x-amz-target', 'Timestream_20181101.WriteRecords']);
    expect(hostOf('timestream', 'eu-west-1', write)).toBe('ingest.timestream.eu-west-1.amazonaws.com');
    const sync = head('/', ['x-amz-target', 'AWSStepFunctions.StartSyncExecution']);
    expect(hostOf('states', 'eu-west-1', sync)).toBe('sync-states.eu-west-1.amazonaws.com');
    expect(hostOf('states', 'eu-west-1', head('/', ['x-amz-target', 'AWSStepFunctions.StartExecution']))).toBe(
      'states.eu-west-1.amazonaws.com',
    );
  });

  test('takes none where X-Amz-Target is there twice', () => {
    const twice = head('/', [
      'X-Amz-Target',
      'DynamoDB_20120810.GetItem',
      'x-amz-target',
      'DynamoDBStreams_20120810.A',
    ]);
    expect(refusal('dynamodb', 'eu-west-1', twice)).toContain('AWS_ENDPOINT_URL_DYNAMODB');
  });

  test('takes the one whose path it is', () => {
    expect(hostOf('bedrock', 'eu-west-1', head('/model/anthropic.claude-3%3A0/converse'))).toBe(
      'bedrock-runtime.eu-west-1.amazonaws.com',
    );
    expect(hostOf('aps', 'eu-west-1', head('/workspaces/ws-1/api/v1/query'))).toBe(
      'aps-workspaces.eu-west-1.amazonaws.com',
    );
    expect(hostOf('aps', 'eu-west-1', head('/workspaces'))).toBe('aps.eu-west-1.amazonaws.com');
  });

  test.each(['api/bedrock-agent-runtime#3.1', 'api/Bedrock_Agent_Runtime#2.2', 'api/bedrockagentruntime/1.0'])(
    'takes the one that the user agent names: %s',
    (client) => {
      const request = head('/agents/a', ['User-Agent', `aws-sdk/1 ua/2.1 ${client} os/linux`]);
      expect(hostOf('bedrock', 'eu-west-1', request)).toBe('bedrock-agent-runtime.eu-west-1.amazonaws.com');
    },
  );

  test('is refused with the variables to set where nothing names it', () => {
    const detail = refusal('bedrock', 'eu-west-1', head('/agents/a'));
    expect(detail).toContain('AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://127.0.0.1:PORT/_aws/bedrock-runtime');
    expect(detail).toContain('AWS_ENDPOINT_URL_BEDROCK_AGENT=');
    const two = head('/agents/a', ['User-Agent', 'api/bedrock-agent#1 api/bedrock-agent-runtime#1']);
    expect(refusal('bedrock', 'eu-west-1', two)).toContain('several endpoints');
  });
});

describe('hosts with an id in them', () => {
  test('are made from the prefix', () => {
    expect(hostOf('execute-api', 'eu-west-1', head('/prod'), 'abc123.execute-api')).toBe(
      'abc123.execute-api.eu-west-1.amazonaws.com',
    );
    expect(hostOf('lambda', 'eu-west-1', head('/'), 'abc.lambda-url')).toBe('abc.lambda-url.eu-west-1.on.aws');
    expect(hostOf('es', 'eu-west-1', head('/'), 'search-logs-abc.es')).toBe(
      'search-logs-abc.eu-west-1.es.amazonaws.com',
    );
    expect(hostOf('aoss', 'cn-north-1', head('/'), 'x.aoss')).toBe('x.cn-north-1.aoss.amazonaws.com.cn');
  });

  test('are refused without it, with the prefix to use', () => {
    expect(refusal('execute-api', 'eu-west-1', head('/prod'), 'execute-api')).toContain('no endpoint');
    expect(refusal('vpc-lattice-svcs', 'eu-west-1')).toContain('/_aws/<id>.vpc-lattice-svcs');
  });

  test.each([
    'a/b.execute-api',
    'a.b.execute-api',
    '-a.execute-api',
    'a..execute-api',
    'A.execute-api',
    '.execute-api',
  ])('P13: take no id such as %j', (prefix) => {
    expect(() => fromScope({ service: 'execute-api', region: 'eu-west-1' }, head(), prefix)).toThrow(SidecarError);
  });

  test('S3 Control goes to the host of the account', () => {
    const account = head('/v20180820/bucket', ['x-amz-account-id', '123456789012']);
    expect(hostOf('s3', 'eu-west-1', account, 's3-control')).toBe('123456789012.s3-control.eu-west-1.amazonaws.com');
    for (const wrong of ['12345678901', '123456789012.evil', 'evil'])
      expect(refusal('s3', 'eu-west-1', head('/', ['x-amz-account-id', wrong]), 's3-control')).toContain('12 digits');
    const two = head('/', ['x-amz-account-id', '123456789012', 'x-amz-account-id', '210987654321']);
    expect(refusal('s3', 'eu-west-1', two, 's3-control')).toContain('one x-amz-account-id');
  });

  test('an answer to S3 Object Lambda goes to its route', () => {
    const request = head('/WriteGetObjectResponse', ['x-amz-request-route', 'io-cell1']);
    expect(hostOf('s3-object-lambda', 'eu-west-1', request)).toBe('io-cell1.s3-object-lambda.eu-west-1.amazonaws.com');
    const evil = head('/WriteGetObjectResponse', ['x-amz-request-route', 'evil.com/']);
    expect(refusal('s3-object-lambda', 'eu-west-1', evil)).toContain('proxy');
  });
});

describe('S3', () => {
  test('is reached in path style', () => {
    expect(hostOf('s3', 'eu-west-1', head('/b/k'))).toBe('s3.eu-west-1.amazonaws.com');
    expect(fromScope({ service: 's3', region: 'eu-west-1' }, head('/b/k')).target).toBeUndefined();
  });

  const bucket = 'b--use1-az4--x-s3';
  test.each([
    ['GET', `/${bucket}/k`, `${bucket}.s3express-use1-az4.us-east-1.amazonaws.com`, '/k'],
    ['GET', `/${bucket}/k?versionId=1`, `${bucket}.s3express-use1-az4.us-east-1.amazonaws.com`, '/k?versionId=1'],
    ['GET', `/${bucket}?list-type=2`, `${bucket}.s3express-use1-az4.us-east-1.amazonaws.com`, '/?list-type=2'],
    ['GET', `/${bucket}//?session=`, `${bucket}.s3express-use1-az4.us-east-1.amazonaws.com`, '/?session='],
    ['HEAD', `/${bucket}`, `${bucket}.s3express-use1-az4.us-east-1.amazonaws.com`, '/'],
    ['POST', `/${bucket}?delete`, `${bucket}.s3express-use1-az4.us-east-1.amazonaws.com`, '/?delete'],
    ['PUT', `/${bucket}`, 's3express-control.us-east-1.amazonaws.com', undefined],
    ['DELETE', `/${bucket}`, 's3express-control.us-east-1.amazonaws.com', undefined],
    ['GET', `/${bucket}?policy`, 's3express-control.us-east-1.amazonaws.com', undefined],
    ['GET', '/', 's3express-control.us-east-1.amazonaws.com', undefined],
  ])(
    'a directory bucket is reached at its own host, what administers it at that of the region: %s %s',
    (method, target, host, sent) => {
      const endpoint = fromScope({ service: 's3express', region: 'us-east-1' }, head(target, [], method));
      expect([endpoint.origin.host, endpoint.target]).toEqual([host, sent]);
    },
  );

  test('a directory bucket with another name is refused', () => {
    for (const target of ['/plain/k', '/b--x-s3/k', '/b--evil.com--x-s3/k', '//k', '/b--use1-az4--x-s3%2Eevil/k'])
      expect(refusal('s3express', 'us-east-1', head(target, [], 'GET'))).toContain('directory bucket');
  });
});

describe('the path prefix', () => {
  test.each([
    ['/_aws/s3/b/k?x', { prefix: 's3', target: '/b/k?x' }],
    ['/_aws/sts', { prefix: 'sts', target: '/' }],
    ['/_aws/sts/', { prefix: 'sts', target: '/' }],
    ['/_aws/sts?Action=A', { prefix: 'sts', target: '/?Action=A' }],
    ['/_aws/s3//k', { prefix: 's3', target: '//k' }],
    ['/_awsome/k', { target: '/_awsome/k' }],
    ['/b/_aws/s3', { target: '/b/_aws/s3' }],
    ['/', { target: '/' }],
  ])('%s', (target, expected) => {
    expect(splitPrefix(target)).toEqual(expected);
  });

  test.each(['/_aws', '/_aws/', '/_aws//s3', '/_aws/s%33/b', '/_aws?x', '/_aws/a b/'])('%j is refused', (target) => {
    expect(() => splitPrefix(target)).toThrow(SidecarError);
  });
});
